"""Keys and settings: made by administrators alone, shown once, and without a secret."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient

from services.controller.app import create_app
from services.controller.pages.settings import settings_in_force
from services.controller.sessions import CSRF_FIELD, SESSION_COOKIE
from services.settings import Settings
from services.store import Scope, Store

from .conftest import Submit

BOOTSTRAP = "bootstrap-key-of-a-test"


def shown_token(answer: Any) -> str:
    found = re.search(r'<pre id="token"[^>]*>(.*?)</pre>', answer.text)
    assert found, answer.text
    return html.unescape(found.group(1))


@pytest.fixture
def enter(http: TestClient, store: Store) -> Callable[[Scope], Submit]:
    """Logs in with a key of a scope; gives what sends forms."""

    def log_in(scope: Scope) -> Submit:
        _, key = store.create_api_key(f"of {scope}", [scope])

        def send(path: str, form: dict[str, str] | None = None) -> Any:
            page = http.get("/login" if path == "/login" else "/settings").text
            token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
            return http.post(path, data={CSRF_FIELD: token, **(form or {})}, follow_redirects=False)

        assert send("/login", {"key": key}).status_code == 303
        return send

    return log_in


def test_a_key_is_shown_once_and_opens_what_it_is_for(submit: Submit, http: TestClient, store: Store) -> None:
    answer = submit("/settings/keys", {"name": "alice <admin>", "scope": "submit"})

    token = shown_token(answer)
    key = store.authenticate(token)
    assert key is not None
    assert (key.name, key.scopes) == ("alice <admin>", (Scope.SUBMIT,))
    assert "alice &lt;admin&gt;" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert "from now on every request needs one" in answer.text
    assert http.get("/settings", follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    "form",
    [
        {"name": "", "scope": "read"},
        {"name": "  ", "scope": "read"},
        {"name": "x", "scope": "root"},
        {"name": "x"},
        {"name": "x" * 201, "scope": "read"},
        {"name": "a\nb", "scope": "read"},
    ],
)
def test_a_key_needs_a_name_and_a_scope(submit: Submit, store: Store, form: dict[str, str]) -> None:
    answer = submit("/settings/keys", form)

    assert answer.status_code == 422
    assert answer.headers["Content-Type"].startswith("text/html")
    assert store.list_api_keys() == []


def test_the_list_names_keys_and_their_use_but_no_secret(
    enter: Callable[[Scope], Submit], http: TestClient, store: Store
) -> None:
    _, token = store.create_api_key("a robot", [Scope.READ])
    enter(Scope.ADMIN)

    page = http.get("/settings").text

    assert "a robot" in page
    assert "never" in page
    assert token.split("_", 2)[2] not in page


def test_revoking_ends_the_key_and_its_sessions(
    enter: Callable[[Scope], Submit], http: TestClient, store: Store
) -> None:
    key, token = store.create_api_key("leaked", [Scope.READ])
    send = enter(Scope.ADMIN)

    answer = send(f"/settings/keys/{key.id}/revoke")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/settings")
    assert store.authenticate(token) is None
    assert send("/settings/keys/nosuch/revoke").status_code == 404


def test_the_log_tells_who_made_and_who_revoked_a_key(enter: Callable[[Scope], Submit], store: Store) -> None:
    send = enter(Scope.ADMIN)
    (administrator,) = store.list_api_keys()
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        token = shown_token(send("/settings/keys", {"name": "robot", "scope": "read"}))
        robot = store.list_api_keys()[-1]
        send(f"/settings/keys/{robot.id}/revoke")

    lines = [each for each in logs if each["event"].startswith("API key")]
    assert [line["event"] for line in lines] == ["API key created", "API key revoked"]
    assert all((line["key"], line["caller"]) == (robot.id, administrator.id) for line in lines)
    assert token not in str(logs)


def test_what_revoking_the_last_key_means_is_told_before(
    enter: Callable[[Scope], Submit], http: TestClient, store: Store
) -> None:
    other, _ = store.create_api_key("other", [Scope.READ])
    enter(Scope.ADMIN)
    before = http.get("/settings").text
    store.revoke_api_key(other.id)

    assert "It is the last key" not in before
    assert http.get("/settings").text.count("It is the last key") == 1


@pytest.mark.parametrize("scope", [Scope.READ, Scope.SUBMIT])
def test_only_administrators_see_and_change_them(
    enter: Callable[[Scope], Submit], http: TestClient, store: Store, scope: Scope
) -> None:
    key, _ = store.create_api_key("the secret name of a key", [Scope.READ])
    send = enter(scope)

    page = http.get("/settings").text

    assert "Only administrators" in page
    assert "the secret name of a key" not in page
    assert "GTN_NAS_DATA_DIR" not in page
    assert send("/settings/keys", {"name": "more", "scope": "admin"}).status_code == 403
    assert send(f"/settings/keys/{key.id}/revoke").status_code == 403
    assert [each.revoked_at for each in store.list_api_keys()] == [None, None]


def test_the_settings_in_force_hold_no_secret(settings: Settings, store: Store) -> None:
    secret = Settings(
        **{
            **dict(settings),
            "api_key": BOOTSTRAP,
            "database_url": "postgresql://me:open-sesame@db.example/nas",
            "artifacts_url": "s3://me:open-sesame@bucket/prefix",
        }
    )

    shown = {each.name: each for each in settings_in_force(secret, store)}

    assert len(shown) == len(Settings.model_fields)
    assert (shown["GTN_NAS_API_KEY"].value, shown["GTN_NAS_API_KEY"].secret) == ("is set", True)
    assert not any(hidden in str(shown) for hidden in (BOOTSTRAP, "open-sesame"))
    assert shown["GTN_NAS_PORT"].value == "8000"


def test_a_session_of_the_bootstrap_key_administers(settings: Settings) -> None:
    app = create_app(Settings(**{**dict(settings), "api_key": BOOTSTRAP}))
    with TestClient(app, base_url="http://127.0.0.1:8000") as http:
        token = http.get("/login").text.partition('name="csrf-token" content="')[2].partition('"')[0]
        http.post("/login", data={CSRF_FIELD: token, "key": BOOTSTRAP})

        page = http.get("/settings").text

    assert SESSION_COOKIE in str(http.cookies)
    assert "GTN_NAS_DATA_DIR" in page
    assert BOOTSTRAP not in page
