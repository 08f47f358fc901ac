"""Browsers: the cookies by which they are known, and the proof that a page of ours sent an action.

A browser that logged in has a session cookie; any other that sees a page has a visitor's cookie, which opens
nothing. Either holds a random token, and what pages send back with every action is derived from it: another
site can make a browser send the cookie, but can neither read it nor work out the proof.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response

from services.controller.problems import FORBIDDEN, Problem

SESSION_COOKIE = "gtn_nas_session"
VISITOR_COOKIE = "gtn_nas_visitor"
"""What cookies are for, and how their names begin: see `cookie_name`."""
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf_token"
SESSION_LIFETIME = timedelta(days=7)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser, known or not."""

    token: str
    fresh: bool  # whether the browser has yet to be given the token

    @property
    def csrf_token(self) -> str:
        """What shows that an action comes from a page that was made for this browser."""
        return hmac.new(self.token.encode(), b"csrf", hashlib.sha256).hexdigest()

    def remember(self, request: Request, response: Response) -> None:
        """Give a browser that came without a cookie the visitor's one."""
        if self.fresh:
            set_cookie(request, response, VISITOR_COOKIE, self.token)


async def _visitor(request: Request) -> Visitor:
    for purpose in (SESSION_COOKIE, VISITOR_COOKIE):
        if token := cookie(request, purpose):
            return Visitor(token, fresh=False)
    return Visitor(secrets.token_urlsafe(32), fresh=True)


VisitorDep = Annotated[Visitor, Depends(_visitor)]


async def require_csrf_token(request: Request, visitor: VisitorDep) -> None:
    """Answer 403 to an action that does not come from a page made for this browser; reading is no action."""
    if not await carries_csrf_token(request, visitor):
        raise without_csrf_token()


def without_csrf_token() -> Problem:
    """Why an action is refused that does not come from a page made for this browser."""
    return Problem(
        FORBIDDEN,
        "the action does not carry the token of a page that was made for this browser",
        remedy="load the page again and repeat it (cookies must be allowed)",
    )


async def carries_csrf_token(request: Request, visitor: VisitorDep) -> bool:
    """Whether an action comes from a page made for this browser; reading is no action.

    Answers 403 to what a page of another origin sent.
    """
    if request.method in SAFE_METHODS:
        return True
    require_same_origin(request)
    given = request.headers.get(CSRF_HEADER)
    # The API takes no forms: read here, a body would be gone for whom it was meant for.
    is_page = not request.url.path.startswith("/v1/")
    if given is None and is_page and "form" in request.headers.get("content-type", ""):
        field = (await request.form()).get(CSRF_FIELD)
        given = field if isinstance(field, str) else None
    return not visitor.fresh and given is not None and _equal(given, visitor.csrf_token)


def require_same_origin(request: Request) -> None:
    """Answer 403 to what a page of another origin sent. Browsers name it with every POST, programs do not."""
    origin, host = request.headers.get("origin"), request.headers.get("host")
    if origin is not None and _address(origin) != host:
        raise Problem(
            FORBIDDEN,
            f"a page of {origin} may not do this: the request was addressed to {host}",
            remedy="use the controller's own pages; if these are, a proxy before it has to pass on the Host "
            "header as it is, port included (nginx: proxy_set_header Host $http_host)",
        )


def _equal(given: str, secret: str) -> bool:
    """In constant time. What is no ASCII, such as half a surrogate pair, equals none."""
    return given.isascii() and hmac.compare_digest(given, secret)


def _address(origin: str) -> str | None:
    """Host and port of an origin; None for what is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def cookie(request: Request, purpose: str) -> str | None:
    """What a browser sent of a cookie of ours."""
    return request.cookies.get(cookie_name(request, purpose))


def set_cookie(
    request: Request, response: Response, purpose: str, value: str, *, lifetime: timedelta | None = None
) -> None:
    """A cookie that scripts cannot read and that no other site can make a browser send.

    It ends with `lifetime`, which may be zero, or else with the browser.
    """
    response.set_cookie(
        cookie_name(request, purpose),
        value,
        max_age=None if lifetime is None else int(lifetime.total_seconds()),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )


def cookie_name(request: Request, purpose: str) -> str:
    """One that no other controller of the same host uses: browsers keep cookies apart by host, not by port.

    By https it also begins as browsers accept from this very host alone.
    """
    prefix = "__Host-" if _is_secure(request) else ""
    return f"{prefix}{purpose}_{request.app.state.database_id[:8]}"


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"
