"""Keys and settings at /settings, for administrators."""

from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import SecretStr, StringConstraints

from services.controller.pages.page import Page, PageDep, page_router
from services.controller.security import ADMINISTERS
from services.controller.validation import dataset_roots
from services.redaction import redact
from services.settings import Settings
from services.store import Scope, Store
from services.visible import NO_CONTROLS

log = structlog.get_logger(__name__)

router = page_router()

KeyName = Annotated[
    str,
    Form(),
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NO_CONTROLS),
]
SCOPES = {
    Scope.READ: "see everything, change nothing",
    Scope.SUBMIT: "also submit, steer and delete jobs",
    Scope.ADMIN: "also administer keys",
}


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """A setting as administrators see it."""

    name: str  # of its environment variable
    description: str
    value: str
    given: bool  # whether it is anything but the default
    secret: bool


@router.get("/settings")
def get_settings(page: PageDep) -> HTMLResponse:
    """API keys, and the settings in force; to others than administrators, that they are not theirs to see."""
    return _page(page)


@router.post("/settings/keys", dependencies=[ADMINISTERS])
def create_key(page: PageDep, name: KeyName, scope: Annotated[Scope, Form()]) -> HTMLResponse:
    """Create an API key and show it, this once."""
    first = not page.store.has_api_keys() and page.settings.api_key is None
    key, token = page.store.create_api_key(name, [scope])
    log.info("API key created", key=key.id, name=name, scope=str(scope))
    return _page(page, token=token, first=first)


@router.post("/settings/keys/{key_id}/revoke", dependencies=[ADMINISTERS])
def revoke_key(page: PageDep, key_id: str) -> Response:
    """Make an API key useless, and end the sessions that were opened with it."""
    key = page.store.revoke_api_key(key_id)
    log.info("API key revoked", key=key.id, name=key.name)
    return page.redirect("/settings")


def _page(page: Page, *, token: str = "", first: bool = False) -> HTMLResponse:
    administers = page.caller is not None and page.caller.may_administer
    keys = page.store.list_api_keys() if administers else []
    return page.render(
        "settings.html",
        section="/settings",
        keys=sorted(keys, key=lambda key: (key.revoked_at is not None, key.created_at)),
        scopes=SCOPES,
        bootstrap=page.settings.api_key is not None,
        token=token,
        first=first,
        settings=settings_in_force(page.settings, page.store) if administers else [],
    )


def settings_in_force(settings: Settings, store: Store) -> list[SettingInForce]:
    """Every setting; of secrets, only whether there is one."""
    shown = {
        "database_url": str(store),  # an address without password
        "artifacts_url": settings.resolved_artifacts_url,
        "dataset_roots": ", ".join(map(str, dataset_roots(settings, store))),
    }
    return [
        SettingInForce(
            name=f"GTN_NAS_{name.upper()}",
            description=field.description or "",
            value=redact(shown.get(name) or _written(getattr(settings, name))),
            given=name in settings.model_fields_set,
            secret=isinstance(getattr(settings, name), SecretStr),
        )
        for name, field in Settings.model_fields.items()
    ]


def _written(value: Any) -> str:
    match value:
        case None | "" | ():
            return ""
        case SecretStr():
            return "is set"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case _:
            return str(value)
