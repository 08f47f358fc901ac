"""Who may do what: bearer keys with scopes, browsers that logged in with one, and an open door only where
no one else can come in.

While no key exists, nor ever did, the API is open to this machine alone: it listens on loopback and answers
only requests that were addressed to it by a loopback name. A web page that a browser on this machine shows
can reach loopback too; the addresses in `Host` and `Origin` give it away.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.controller.dependencies import SettingsDep, StoreDep
from services.controller.problems import FORBIDDEN, UNAUTHORIZED, Problem
from services.controller.rate_limits import RateLimits
from services.controller.sessions import (
    SAFE_METHODS,
    SESSION_COOKIE,
    SESSION_LIFETIME,
    VisitorDep,
    cookie,
    require_csrf_token,
    require_same_origin,
)
from services.controller.strict_parameters import refuse_unknown_parameters
from services.errors import ConflictError
from services.loopback import names_loopback
from services.settings import Settings
from services.store import ApiKeyRecord, Scope, Store

log = structlog.get_logger(__name__)

BOOTSTRAP = "bootstrap"
"""The id of a caller with the key of the settings."""

OF_PROXIES = ("forwarded", "via", "x-forwarded-", "x-real-ip")
"""How headers begin by which a proxy tells that a request is not its own."""

SPOKEN_BY_PROXIES = "1.0"
"""The version of HTTP that clients have long left behind, but nginx speaks unless told otherwise."""

CREATE_KEY = "create one with `gtn-nas api-key create` or set GTN_NAS_API_KEY"

_bearer = HTTPBearer(
    scheme_name="ApiKey",
    auto_error=False,
    description="An API key, as `gtn-nas api-key create` prints it. "
    "None is needed on loopback while none exists.",
)


def require_key_beyond_loopback(settings: Settings, store: Store) -> None:
    """Refuse to serve other machines while anyone there could do anything. Raises ConflictError."""
    if not settings.loopback and not _keys_exist(settings, store):
        raise ConflictError(
            f"refusing to listen on {settings.host} while no API key exists: {CREATE_KEY}, "
            "or listen on 127.0.0.1"
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request; `id` is the API key's, and empty where the API is open."""

    id: str
    may_submit: bool
    may_administer: bool
    session: bool = False  # whether a browser that logged in sent it


def _identified(
    request: Request,
    settings: SettingsDep,
    store: StoreDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if credentials is not None:
        token = credentials.credentials
        caller = _admitted(request, token, lambda: caller_with_key(token, settings, store))
        if caller is None:
            raise _unauthorized("the API key is unknown or revoked", error="invalid_token")
        return caller
    if not needs_key(settings, store):
        if not _names_this_machine(request):
            raise Problem(
                FORBIDDEN,
                "while no API key exists, only requests from this machine to its loopback are answered",
                remedy=f"use http://127.0.0.1:{settings.port}, or {CREATE_KEY}",
            )
        return Caller("", may_submit=True, may_administer=True)
    session = cookie(request, SESSION_COOKIE)
    caller = _admitted(
        request, session, lambda: None if session is None else _caller_in_session(session, settings, store)
    )
    if caller is None:
        raise _unauthorized("the request carries no API key" if session is None else "the session has ended")
    return caller


async def authenticated(
    request: Request, caller: Annotated[Caller, Depends(_identified)], visitor: VisitorDep
) -> Caller:
    """The caller, who may at least read.

    Answers 401 to a key or session that is missing, unknown or over, 429 to a caller who asks too often, and
    403 to a request that would change something and comes from a browser but not from a page of ours: a
    browser sends its cookie, and from this machine all it needs, whoever's page asks it to.
    """
    structlog.contextvars.bind_contextvars(caller=caller.id or None)
    if request.method not in SAFE_METHODS:
        if caller.session:
            await require_csrf_token(request, visitor)
        elif not caller.id:
            require_same_origin(request)
    return caller


AuthenticatedCaller = Annotated[Caller, Depends(authenticated)]


async def _reads(request: Request, _caller: AuthenticatedCaller) -> None:
    """Look into what is asked only when it is known who asks."""
    refuse_unknown_parameters(request)


def _require_submit(caller: AuthenticatedCaller) -> None:
    """Answer 403 to a key that may only read."""
    if not caller.may_submit:
        raise Problem(FORBIDDEN, "this API key may only read", remedy="use a key with the scope 'submit'")


def _require_admin(caller: AuthenticatedCaller) -> None:
    """Answer 403 to a key that may not administer."""
    if not caller.may_administer:
        raise Problem(FORBIDDEN, "this API key may not administer", remedy="use a key with the scope 'admin'")


READS = Depends(_reads)
SUBMITS = Depends(_require_submit)
ADMINISTERS = Depends(_require_admin)


def needs_key(settings: Settings, store: Store) -> bool:
    """Whether requests need a key or a session, instead of merely coming from this machine."""
    return not settings.loopback or _keys_exist(settings, store)


def log_in(request: Request, token: str, settings: Settings, store: Store) -> str | None:
    """A session of an API key, as the token for its cookie; None for a key that is unknown or revoked.

    Answers 429 to an address that was wrong too often.
    """
    caller = _admitted(request, token, lambda: caller_with_key(token, settings, store))
    if caller is None:
        log.warning("login failed")
        return None
    log.info("logged in", caller=caller.id)
    if caller.id == BOOTSTRAP:
        return store.create_session(None, SESSION_LIFETIME, bootstrap_key=_bootstrap_key(settings))
    return store.create_session(caller.id, SESSION_LIFETIME)


def _admitted(request: Request, token: str | None, find: Callable[[], Caller | None]) -> Caller | None:
    """Whom a key or a session's token belongs to, within the limits. Answers 429 beyond them."""
    limits: RateLimits = request.app.state.rate_limits
    address = request.client.host if request.client else ""
    limits.admit_attempt(address, token)
    caller = find()
    if caller is None:
        limits.note_failure(address, token)
        return None
    if token is not None:
        limits.note_success(token)
    limits.admit_request(caller.id)
    return caller


def caller_with_key(token: str, settings: Settings, store: Store) -> Caller | None:
    """Whose API key this is; None for one that is unknown or revoked."""
    bootstrap = _bootstrap_key(settings)
    if bootstrap is not None and hmac.compare_digest(token.encode(), bootstrap.encode()):
        return Caller(BOOTSTRAP, may_submit=True, may_administer=True)
    key = store.authenticate(token)
    return None if key is None else _caller_of(key)


def _caller_in_session(token: str, settings: Settings, store: Store) -> Caller | None:
    session = store.find_session(token, bootstrap_key=_bootstrap_key(settings))
    if session is None:
        return None
    if session.key is None:
        return Caller(BOOTSTRAP, may_submit=True, may_administer=True, session=True)
    return _caller_of(session.key, session=True)


def _caller_of(key: ApiKeyRecord, *, session: bool = False) -> Caller:
    return Caller(
        key.id,
        may_submit=key.allows(Scope.SUBMIT),
        may_administer=key.allows(Scope.ADMIN),
        session=session,
    )


def _bootstrap_key(settings: Settings) -> str | None:
    return None if settings.api_key is None else settings.api_key.get_secret_value()


def _unauthorized(detail: str, error: str | None = None) -> Problem:
    challenge = "Bearer" + (f' error="{error}"' if error else "")
    return Problem(
        UNAUTHORIZED,
        detail,
        remedy="send the header Authorization: Bearer KEY (the CLI takes it from GTN_NAS_API_KEY)",
        headers={"WWW-Authenticate": challenge},
    )


def _keys_exist(settings: Settings, store: Store) -> bool:
    return settings.api_key is not None or store.has_api_keys()


def _names_this_machine(request: Request) -> bool:
    if request.scope["http_version"] == SPOKEN_BY_PROXIES:
        return False
    if any(name.startswith(OF_PROXIES) for name in request.headers):
        return False
    addresses = [f"//{request.headers.get('host', '')}", request.headers.get("origin")]
    return all(address is None or names_loopback(address) for address in addresses)
