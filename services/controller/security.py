"""Who may do what: bearer keys with scopes, and an open door only where no one else can come in.

While no key exists the API is open to this machine alone: it listens on loopback and answers only requests
that were addressed to it by a loopback name. A web page that a browser on this machine shows can reach
loopback too; the addresses in `Host` and `Origin` give it away.
"""

import hmac
import ipaddress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.controller.dependencies import SettingsDep, StoreDep
from services.controller.problems import FORBIDDEN, UNAUTHORIZED, Problem
from services.controller.rate_limits import RateLimits
from services.errors import ConflictError
from services.settings import Settings
from services.store import Scope, Store

BOOTSTRAP = "bootstrap"
"""The id of a caller with the key of the settings."""

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


def authenticated(
    request: Request,
    settings: SettingsDep,
    store: StoreDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    """The caller, who may at least read.

    Answers 401 to a key that is missing, unknown or revoked, and 429 to a caller who asks too often.
    """
    limits: RateLimits = request.app.state.rate_limits
    address = request.client.host if request.client else ""
    if credentials is not None:
        token = credentials.credentials
        limits.admit_attempt(address, token)
        caller = _caller_with_key(token, settings, store)
        if caller is None:
            limits.note_failure(address)
            raise _unauthorized("the API key is unknown or revoked", error="invalid_token")
        limits.note_success(token)
        limits.admit_request(caller.id)
        return caller
    if _keys_exist(settings, store) or not settings.loopback:
        limits.admit_attempt(address, None)
        limits.note_failure(address)
        raise _unauthorized("the request carries no API key")
    if not _names_this_machine(request):
        raise Problem(
            FORBIDDEN,
            "while no API key exists, only requests addressed to this machine's loopback are answered",
            remedy=f"use http://127.0.0.1:{settings.port}, or {CREATE_KEY}",
        )
    return Caller("", may_submit=True, may_administer=True)


def is_open(request: Request, settings: Settings, store: Store) -> bool:
    """Whether this request may do everything without a key."""
    return settings.loopback and not _keys_exist(settings, store) and _names_this_machine(request)


AuthenticatedCaller = Annotated[Caller, Depends(authenticated)]


def _require_submit(caller: AuthenticatedCaller) -> None:
    """Answer 403 to a key that may only read."""
    if not caller.may_submit:
        raise Problem(FORBIDDEN, "this API key may only read", remedy="use a key with the scope 'submit'")


READS = Depends(authenticated)
SUBMITS = Depends(_require_submit)


def _caller_with_key(token: str, settings: Settings, store: Store) -> Caller | None:
    if settings.api_key is not None and hmac.compare_digest(
        token.encode(), settings.api_key.get_secret_value().encode()
    ):
        return Caller(BOOTSTRAP, may_submit=True, may_administer=True)
    key = store.authenticate(token)
    if key is None:
        return None
    return Caller(key.id, may_submit=key.allows(Scope.SUBMIT), may_administer=key.allows(Scope.ADMIN))


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
    addresses = [f"//{request.headers.get('host', '')}", request.headers.get("origin")]
    return all(address is None or _names_loopback(address) for address in addresses)


def _names_loopback(address: str) -> bool:
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
