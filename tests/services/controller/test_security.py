"""Who may do what: an open door on loopback only, keys with scopes, and nothing that tells a secret."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from services.controller.app import create_app
from services.controller.security import require_key_beyond_loopback
from services.errors import ConflictError
from services.settings import Settings
from services.store import Scope, Store

from .conftest import fields

LOOPBACK = "http://127.0.0.1:8000"
META_TRAINING = {"dataset": {"name": "digits"}}


@pytest.fixture
def serving(settings: Settings) -> Iterator[Callable[..., TestClient]]:
    """Starts a controller with other settings, addressed by `base_url`."""
    with ExitStack() as stack:

        def start(base_url: str = LOOPBACK, **changes: Any) -> TestClient:
            changed = Settings(**{**dict(settings), **changes})
            return stack.enter_context(TestClient(create_app(changed), base_url=base_url))

        yield start


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_without_keys_this_machine_may_do_everything(http: TestClient) -> None:
    assert http.get("/v1/searches").status_code == 200
    assert http.post("/v1/meta-trainings", json=META_TRAINING).status_code == 201


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "127.1.2.3:80", "[::1]:8000"])
def test_every_loopback_name_is_this_machine(http: TestClient, host: str) -> None:
    assert http.get("/v1/searches", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "10.0.0.5:8000", "localhost.evil.example", "", "[", "127.0.0.1@evil"]
)
def test_without_keys_a_rebound_name_is_turned_away(http: TestClient, host: str) -> None:
    answer = http.get("/v1/searches", headers={"Host": host})

    assert answer.status_code == 403
    assert "127.0.0.1" in answer.json()["remedy"]


@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 403), ("null", 403), (LOOPBACK, 200)])
def test_without_keys_foreign_web_pages_are_turned_away(
    http: TestClient, search_id: str, origin: str, status: int
) -> None:
    assert http.post(f"/v1/searches/{search_id}/cancel", headers={"Origin": origin}).status_code == status


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Forwarded-Proto": "https"},
        {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"},
    ],
)
def test_without_keys_a_proxy_on_this_machine_lets_nobody_in(
    http: TestClient, header: dict[str, str]
) -> None:
    """Many proxies put the name of their target into `Host`, which is loopback's."""
    answer = http.get("/v1/searches", headers=header)
    assert (answer.status_code, "api-key create" in answer.json()["remedy"]) == (403, True)


def test_without_keys_a_proxy_that_is_known_by_its_old_http_alone_lets_nobody_in(settings: Settings) -> None:
    """`proxy_pass http://127.0.0.1:8000;` is all that nginx needs: it adds no header then."""
    app = create_app(settings)

    async def as_nginx(scope: AsgiScope, receive: Receive, send: Send) -> None:
        await app({**scope, "http_version": "1.0"}, receive, send)

    answer = TestClient(as_nginx, base_url=LOOPBACK).get("/v1/searches")
    assert answer.status_code == 403


def test_without_keys_no_other_machine_is_served(serving: Callable[..., TestClient]) -> None:
    answer = serving(host="0.0.0.0").get("/v1/searches")

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs", "/"])
def test_health_and_documentation_need_no_key(serving: Callable[..., TestClient], path: str) -> None:
    assert serving(api_key="bootstrap-key-of-a-test").get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/searches", "/v1/candidates", "/v1/cluster", "/v1/search-spaces", "/metrics"]
)
def test_once_a_key_exists_it_is_asked_for(http: TestClient, store: Store, path: str) -> None:
    _, token = store.create_api_key("reader", [Scope.READ])

    refused = http.get(path)

    assert refused.status_code == 401
    assert refused.json()["type"] == "urn:gtn-nas:problem:unauthorized"
    assert "Authorization: Bearer" in refused.json()["remedy"]
    assert http.get(path, headers=bearer(token)).status_code == 200


def test_nothing_is_told_of_parameters_to_whom_has_no_key(
    serving: Callable[..., TestClient], store: Store
) -> None:
    """Also by operations that are yet to be written."""
    http = serving(failed_keys_per_minute=0)
    _, token = store.create_api_key("administrator", [Scope.ADMIN])
    operations = [
        (method.upper(), path.replace("{", "").replace("}", "") + "?no_such_parameter=1")
        for path, methods in http.get("/openapi.json").json()["paths"].items()
        for method in methods
        if path.startswith("/v1/")
    ]

    strangers = {each: http.request(*each).status_code for each in operations}
    known = {each: http.request(*each, headers=bearer(token)) for each in operations}

    assert set(strangers.values()) == {401}, strangers
    assert all("no_such_parameter" in fields(answer) for answer in known.values())


def test_without_keys_a_rebound_name_is_turned_away_whatever_it_asks(http: TestClient) -> None:
    answer = http.get("/v1/searches?x=1&limit=0", headers={"Host": "evil.example"})
    assert answer.status_code == 403


def test_the_bootstrap_key_has_every_scope(serving: Callable[..., TestClient]) -> None:
    http = serving(api_key="bootstrap-key-of-a-test")

    assert http.get("/v1/searches").status_code == 401
    key = bearer("bootstrap-key-of-a-test")
    assert http.post("/v1/meta-trainings", json=META_TRAINING, headers=key).status_code == 201


@pytest.mark.parametrize("token", ["wrong", "gtn_abc_def", "bootstrap-key-of-a-tesT", "ä" * 20, "gtn__", ""])
def test_a_wrong_key_is_refused_and_not_repeated(serving: Callable[..., TestClient], token: str) -> None:
    http = serving(api_key="bootstrap-key-of-a-test")

    answer = http.get("/v1/searches", headers={"Authorization": f"Bearer {token}".encode()})

    assert answer.status_code == 401
    assert not token or token not in answer.text


def test_a_revoked_key_is_refused_at_once(http: TestClient, store: Store) -> None:
    store.create_api_key("other", [Scope.READ])
    key, token = store.create_api_key("leaked", [Scope.READ])
    before = http.get("/v1/searches", headers=bearer(token)).status_code
    store.revoke_api_key(key.id)
    after = http.get("/v1/searches", headers=bearer(token))

    assert (before, after.status_code) == (200, 401)
    assert after.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_revoking_the_last_key_lets_nobody_in(http: TestClient, store: Store) -> None:
    key, _ = store.create_api_key("only", [Scope.ADMIN])
    store.revoke_api_key(key.id)
    refused = http.get("/v1/searches")
    _, token = store.create_api_key("next", [Scope.READ])

    assert refused.status_code == 401
    assert http.get("/v1/searches", headers=bearer(token)).status_code == 200


def test_a_key_that_may_read_cannot_change_anything(http: TestClient, store: Store, search_id: str) -> None:
    _, reader = store.create_api_key("reader", [Scope.READ])
    _, submitter = store.create_api_key("submitter", [Scope.SUBMIT])
    changes = [
        ("POST", "/v1/searches"), ("POST", "/v1/meta-trainings"), ("POST", "/v1/checkpoints"),
        ("POST", f"/v1/searches/{search_id}/pause"), ("POST", f"/v1/searches/{search_id}/resume"),
        ("POST", f"/v1/searches/{search_id}/cancel"), ("POST", "/v1/candidates/x-0/retrain"),
        ("DELETE", f"/v1/searches/{search_id}"),
    ]  # fmt: skip

    refused = {change: http.request(*change, headers=bearer(reader)).status_code for change in changes}
    allowed = {change: http.request(*change, headers=bearer(submitter)).status_code for change in changes}

    assert set(refused.values()) == {403}, refused
    assert not {401, 403} & set(allowed.values()), allowed
    assert "submit" in http.post(f"/v1/searches/{search_id}/pause", headers=bearer(reader)).json()["remedy"]


def test_every_operation_that_changes_something_needs_a_scope(http: TestClient, store: Store) -> None:
    """Also the operations that are yet to be written."""
    _, reader = store.create_api_key("reader", [Scope.READ])
    operations = [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, methods in http.get("/openapi.json").json()["paths"].items()
        for method in methods
        if method != "get"
    ]

    answers = {
        operation: http.request(*operation, headers=bearer(reader)).status_code for operation in operations
    }

    assert len(operations) >= 10
    # The thing that a path names is looked up first; there is none here.
    assert set(answers.values()) <= {403, 404}, answers


def test_a_controller_without_keys_does_not_listen_beyond_loopback(settings: Settings, store: Store) -> None:
    exposed = Settings(**{**dict(settings), "host": "0.0.0.0"})

    require_key_beyond_loopback(settings, store)
    with pytest.raises(ConflictError, match=r"refusing to listen on 0\.0\.0\.0.*api-key create"):
        require_key_beyond_loopback(exposed, store)
    require_key_beyond_loopback(Settings(**{**dict(exposed), "api_key": "bootstrap-key-of-a-test"}), store)
    store.create_api_key("first", [Scope.ADMIN])
    require_key_beyond_loopback(exposed, store)


def test_keys_are_never_logged(serving: Callable[..., TestClient], store: Store) -> None:
    _, token = store.create_api_key("reader", [Scope.READ])
    http = serving(api_key="bootstrap-key-of-a-test")
    with structlog.testing.capture_logs() as logs:
        http.get("/v1/searches", headers=bearer(token))
        http.get("/v1/searches", headers=bearer("bootstrap-key-of-a-test"))
        http.get("/v1/searches", headers=bearer("a-wrong-key"))

    text = str(logs)
    # A server of an earlier test may tell of its last streams meanwhile.
    assert [log["status"] for log in logs if log.get("path") == "/v1/searches"] == [200, 200, 401]
    assert not any(secret in text for secret in (token, "bootstrap-key-of-a-test", "a-wrong-key"))


def test_the_log_tells_whose_request_it_was(serving: Callable[..., TestClient], store: Store) -> None:
    key, token = store.create_api_key("reader", [Scope.READ])
    http = serving(api_key="bootstrap-key-of-a-test")
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        http.get("/v1/searches", headers=bearer(token))
        http.post("/v1/searches", headers=bearer(token))
        http.get("/v1/searches", headers=bearer("bootstrap-key-of-a-test"))
        http.get("/v1/searches", headers=bearer("a-wrong-key"))

    lines = [log for log in logs if log.get("path") == "/v1/searches"]
    assert [line["caller"] for line in lines] == [key.id, key.id, "bootstrap", None]
    assert {line["client"] for line in lines} == {"testclient"}


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/searches", "/v1/nosuch", "/healthz"])
def test_every_answer_has_security_headers(http: TestClient, path: str) -> None:
    headers = http.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    # A page sends forms, whose origin browsers would otherwise hide from this very controller.
    assert headers["Referrer-Policy"] == ("same-origin" if path == "/" else "no-referrer")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert len(headers["X-Request-ID"]) == 32


@pytest.mark.parametrize(
    ("given", "kept"), [("trace-7.a_b", True), ("a b", False), ("x" * 65, False), ("", False)]
)
def test_a_harmless_request_id_is_kept(http: TestClient, given: str, kept: bool) -> None:
    answered = http.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]

    assert (answered == given) is kept
