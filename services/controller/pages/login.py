"""Logging in and out: /login, /logout."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse

from services.controller.pages.page import VisitDep, page_router

router = page_router()


@router.get("/login")
def get_login(page: VisitDep, next: Annotated[str, Query(max_length=2000)] = "/") -> HTMLResponse:  # noqa: A002
    """The form that takes an API key."""
    return page.render("login.html", next=next, wrong="")
