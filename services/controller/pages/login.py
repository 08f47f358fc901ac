"""Logging in and out: /login, /logout."""

from datetime import timedelta
from typing import Annotated

from fastapi import Form, Query
from fastapi.responses import RedirectResponse, Response

from services.controller.pages.page import NEEDS_TOKEN, CarriesToken, VisitDep, page_router
from services.controller.security import log_in, needs_key
from services.controller.sessions import SESSION_COOKIE, SESSION_LIFETIME, cookie, set_cookie

router = page_router(checks_token=False)

Address = Annotated[str, Query(max_length=2000)]


@router.get("/login")
def get_login(page: VisitDep, next: Address = "/") -> Response:  # noqa: A002 - the word of the address
    """The form that takes an API key; where none is needed, straight on."""
    if not needs_key(page.settings, page.store):
        return RedirectResponse(_own(next), status_code=303)
    return page.render("login.html", next=_own(next), wrong="")


@router.post("/login")
def post_login(
    page: VisitDep,
    carries_token: CarriesToken,
    key: Annotated[str, Form(max_length=500)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
) -> Response:
    """Take an API key and give the browser a session for it.

    A form that was made before the browser logged in, or out, in another tab, leads on or comes again.
    """
    if not carries_token:
        if cookie(page.request, SESSION_COOKIE) is not None:
            return RedirectResponse(_own(next), status_code=303)
        wrong = "This form was out of date, and the key has not been looked at: enter it again."
        return page.render("login.html", status=403, next=_own(next), wrong=wrong)
    token = log_in(page.request, key.strip(), page.settings, page.store)
    if token is None:
        wrong = "This API key is unknown or revoked."
        return page.render("login.html", status=401, next=_own(next), wrong=wrong)
    response = RedirectResponse(_own(next), status_code=303)
    set_cookie(page.request, response, SESSION_COOKIE, token, lifetime=SESSION_LIFETIME)
    return response


@router.post("/logout", dependencies=[NEEDS_TOKEN])
def post_logout(page: VisitDep) -> Response:
    """End the browser's session."""
    page.store.end_session(cookie(page.request, SESSION_COOKIE) or "")
    response = RedirectResponse("/login", status_code=303)
    set_cookie(page.request, response, SESSION_COOKIE, "", lifetime=timedelta(0))
    return response


def _own(address: str) -> str:
    """The address if it is one of this controller's: nobody is to be sent elsewhere by a link to /login."""
    # Browsers read a backslash as a slash, and skip tabs and line breaks: `/\\evil.example` is another site.
    inside = address.startswith("/") and not address.startswith("//") and address.isprintable()
    return address if inside and "\\" not in address else "/"
