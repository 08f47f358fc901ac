"""What every page has: who looks at it, its token against forged actions, its policy, and designed errors."""

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from services.controller.dependencies import SettingsDep, StoreDep
from services.controller.error_handlers import field_problems, problem_of
from services.controller.problems import NOT_FOUND, UNAUTHORIZED, Problem, invalid, problem_response
from services.controller.readiness import BackgroundDispatcher
from services.controller.security import SUBMITS, AuthenticatedCaller, Caller, needs_key
from services.controller.sessions import (
    SESSION_COOKIE,
    Visitor,
    VisitorDep,
    carries_csrf_token,
    cookie,
    without_csrf_token,
)
from services.dashboard import render
from services.settings import Settings
from services.store import Store

FormT = TypeVar("FormT", bound=BaseModel)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# Without its referrer a browser would send `Origin: null` with a form, which nothing could be told from.
PAGE_HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is being made for someone."""

    request: Request
    store: Store
    settings: Settings
    visitor: Visitor
    caller: Caller | None
    section: str = ""

    @property
    def csrf_token(self) -> str:
        """What forms and requests of this page send back to prove that they come from it."""
        return self.visitor.csrf_token

    @property
    def trouble(self) -> str | None:
        """What keeps the controller from looking after jobs at present: a running one would only seem so."""
        dispatcher: BackgroundDispatcher | None = self.request.app.state.dispatcher
        return dispatcher.trouble if dispatcher else None

    @property
    def is_fragment(self) -> bool:
        """Whether htmx asks, which wants a part of a page."""
        return _asked_by_htmx(self.request)

    def render(self, template: str, *, section: str = "", status: int = 200, **context: Any) -> HTMLResponse:
        """The page made of a template; `section` is the entry of the menu that it belongs to."""
        shown = replace(self, section=section)
        response = HTMLResponse(render(template, page=shown, **context), status_code=status)
        response.headers.update(PAGE_HEADERS)
        self.visitor.remember(self.request, response)
        return response

    def redirect(self, address: str) -> Response:
        """Send the browser elsewhere after an action, whether a form or htmx sent it."""
        if self.is_fragment:
            return Response(status_code=204, headers={"HX-Redirect": address})
        return RedirectResponse(address, status_code=303)


def _page(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    visitor: VisitorDep,
    caller: AuthenticatedCaller,
) -> Page:
    return Page(request, store, settings, visitor, caller)


def _visit(request: Request, store: StoreDep, settings: SettingsDep, visitor: VisitorDep) -> Page:
    return Page(request, store, settings, visitor, None)


PageDep = Annotated[Page, Depends(_page)]
"""A page for a caller who may read. Without one, the answer is the way to /login."""

VisitDep = Annotated[Page, Depends(_visit)]
"""A page for anyone."""


class PageRoute(APIRoute):
    """A route whose errors are pages too; whoever is not known yet is sent to /login."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with its errors as HTML."""
        handle = super().get_route_handler()

        async def handle_page(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                return _problem_page(request, problem_of(request, error))  # raises what nobody expected

        return handle_page


CarriesToken = Annotated[bool, Depends(carries_csrf_token)]


def _require_token(request: Request, settings: SettingsDep, store: StoreDep, carried: CarriesToken) -> None:
    """Refuse an action without the token of a page of ours; whose session is gone has to log in first."""
    if carried:
        return
    if needs_key(settings, store) and cookie(request, SESSION_COOKIE) is None:
        raise Problem(UNAUTHORIZED, "the session has ended")
    raise without_csrf_token()


NEEDS_TOKEN = Depends(_require_token)


def page_router(*, checks_token: bool = True) -> APIRouter:
    """An empty router for the routes of one page. They are no part of the API.

    Whatever they change, they change only for a page that was made for the browser that asks; without
    `checks_token` they see to that themselves.
    """
    return APIRouter(
        route_class=PageRoute,
        include_in_schema=False,
        default_response_class=HTMLResponse,
        dependencies=[NEEDS_TOKEN] if checks_token else [],
    )


def from_form(model: type[FormT], **fields: Any) -> FormT:
    """The request that a form makes. Raises Problem, which names the fields that it refuses."""
    try:
        return model(**fields)
    except ValidationError as error:
        raise invalid(*field_problems(error.errors())) from error


def page_not_found(request: Request, error: Exception) -> Response:
    """To people who look for a page that is not there, a page; to programs, problem details."""
    problem = problem_of(request, error)
    looks_for_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if problem.type is NOT_FOUND and looks_for_page and not request.url.path.startswith("/v1/"):
        return _problem_page(request, problem)
    return problem_response(problem, request.url.path)


ACTS = [SUBMITS]
"""Dependencies of a route that changes something: `@router.post(path, dependencies=ACTS)`."""


def _asked_by_htmx(request: Request) -> bool:
    return request.headers.get("HX-Request") == "true"


def _way_back(request: Request) -> str:
    """Where to go on after logging in: on the page that was asked for, or from which htmx asked."""
    if _asked_by_htmx(request):
        return re.sub("^https?://[^/]*", "", request.headers.get("HX-Current-URL", "/"))
    if request.method != "GET":
        return "/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _problem_page(request: Request, problem: Problem) -> Response:
    """The error as a page; for htmx as problem details instead, which a script shows as a notice."""
    fragment = _asked_by_htmx(request)
    login = f"/login?{urlencode({'next': _way_back(request)})}"
    if problem.type is UNAUTHORIZED and not fragment:
        return RedirectResponse(login, status_code=303)
    if fragment:
        response = problem_response(problem, request.url.path)
        if problem.type is UNAUTHORIZED:
            response.headers["HX-Redirect"] = login
        return response
    content = render(
        "problem.html",
        page={"csrf_token": "", "caller": None, "section": ""},
        status=int(problem.type.status),
        title=problem.type.title,
        detail=problem.detail,
        errors=problem.errors,
        remedy=problem.remedy,
    )
    return HTMLResponse(content, int(problem.type.status), {**(problem.headers or {}), **PAGE_HEADERS})
