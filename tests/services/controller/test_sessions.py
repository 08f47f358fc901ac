"""Browsers: logging in, what a session may do, and every door that has to stay closed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from services.controller.app import create_app
from services.controller.pages import ROUTERS
from services.controller.sessions import (
    CSRF_FIELD,
    CSRF_HEADER,
    SAFE_METHODS,
    SESSION_COOKIE,
    VISITOR_COOKIE,
)
from services.settings import Settings
from services.store import Scope, Store, downgrade, upgrade

LOOPBACK = "http://127.0.0.1:8000"
BOOTSTRAP = "bootstrap-key-of-a-test"
META_TRAINING = {"dataset": {"name": "digits"}}
Start = Callable[..., TestClient]


@pytest.fixture
def browser(settings: Settings) -> Iterator[Start]:
    """Starts a controller with other settings, and opens a browser without cookies."""
    with ExitStack() as stack:

        def start(base_url: str = LOOPBACK, **changes: Any) -> TestClient:
            app = create_app(Settings(**{**dict(settings), **changes}))
            return stack.enter_context(TestClient(app, base_url=base_url, follow_redirects=False))

        yield start


def csrf_token(http: TestClient, path: str = "/") -> str:
    """What the page at a path gives its scripts and forms."""
    page = http.get(path).text
    return page.partition('name="csrf-token" content="')[2].partition('"')[0]


def cookies(http: TestClient) -> dict[str, str]:
    """A browser's cookies, by what they are for."""
    return {name.rpartition("_")[0].removeprefix("__Host-"): value for name, value in http.cookies.items()}


def named(http: TestClient, purpose: str) -> str:
    """The name of a cookie at this controller."""
    return f"{purpose}_{http.app.state.database_id[:8]}"  # type: ignore[attr-defined]


def log_in(http: TestClient, key: str, **form: str) -> Any:
    fields = {CSRF_FIELD: csrf_token(http, "/login"), "key": key, **form}
    return http.post("/login", data=fields, headers={"Origin": str(http.base_url)})


def test_the_log_tells_who_logged_in_and_who_tried_to(http: TestClient, store: Store) -> None:
    key, token = store.create_api_key("of a browser", [Scope.READ])
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        log_in(http, "a-wrong-key")
        log_in(http, token)

    lines = [(each["event"], each["client"], each["caller"]) for each in logs if "log" in each["event"]]
    assert lines == [("login failed", "testclient", None), ("logged in", "testclient", key.id)]
    assert not any(secret in str(logs) for secret in (token, "a-wrong-key"))


@pytest.fixture
def logged_in(http: TestClient, store: Store) -> Callable[[Scope], TestClient]:
    """Logs a browser in with a new key of a scope."""
    http.follow_redirects = False

    def enter(scope: Scope) -> TestClient:
        _, token = store.create_api_key("of a browser", [scope])
        assert log_in(http, token).status_code == 303
        return http

    return enter


def test_a_key_opens_a_session_that_reads_pages_and_the_api(browser: Start, store: Store) -> None:
    http = browser()
    _, key = store.create_api_key("reader", [Scope.READ])
    assert http.get("/").headers["Location"] == "/login?next=%2F"

    entered = log_in(http, key, next="/settings")

    assert (entered.status_code, entered.headers["Location"]) == (303, "/settings")
    assert http.get("/").status_code == 200
    assert http.get("/v1/searches").status_code == 200
    assert key not in str(entered.headers)


def test_the_cookie_is_closed_to_scripts_and_other_sites(browser: Start, store: Store) -> None:
    _, key = store.create_api_key("reader", [Scope.READ])

    plain = log_in(browser(), key).headers["Set-Cookie"]
    secure = log_in(browser("https://127.0.0.1:8000"), key).headers["Set-Cookie"]

    assert plain.startswith(SESSION_COOKIE)
    assert secure.startswith(f"__Host-{SESSION_COOKIE}")
    for cookie in (plain, secure):
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in plain
    assert "Secure" in secure.split("; ")


def test_a_browser_keeps_its_sessions_of_two_controllers_of_one_host(browser: Start, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    upgrade(url)
    first, other = browser(api_key=BOOTSTRAP), browser(api_key=BOOTSTRAP, database_url=url)
    log_in(first, BOOTSTRAP)
    other.cookies.update(first.cookies)
    log_in(other, BOOTSTRAP)
    first.cookies.update(other.cookies)

    assert [http.get("/v1/searches").status_code for http in (first, other)] == [200, 200]


def test_a_browser_stays_logged_in_over_an_upgrade(browser: Start, store: Store, settings: Settings) -> None:
    _, key = store.create_api_key("reader", [Scope.READ])
    before = browser()
    log_in(before, key)
    downgrade(settings.resolved_database_url, "-1")
    upgrade(settings.resolved_database_url)
    after = browser()
    after.cookies.update(before.cookies)

    assert after.get("/").status_code == 200
    # Under another name, what browsers have would not be found.
    assert f"gtn_nas_session_{store.database_id()[:8]}" in after.cookies


@pytest.mark.parametrize("key", ["", " ", "wrong", "gtn_abc_def", "ä" * 20])
def test_a_wrong_key_opens_nothing(browser: Start, key: str) -> None:
    http = browser(api_key=BOOTSTRAP)

    answer = log_in(http, key)

    assert answer.status_code in {401, 422}
    assert SESSION_COOKIE not in cookies(http)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert http.get("/v1/searches").status_code == 401


def test_who_guesses_keys_is_slowed_down_at_the_login_too(browser: Start) -> None:
    http = browser(api_key=BOOTSTRAP, failed_keys_per_minute=3)
    form = {CSRF_FIELD: csrf_token(http, "/login"), "key": "wrong"}

    assert [http.post("/login", data=form).status_code for _ in range(4)] == [401, 401, 401, 429]
    assert http.post("/login", data=form | {"key": BOOTSTRAP}).status_code == 429


@pytest.mark.parametrize("cookie", ["", "wrong", "x" * 43, "é".encode().decode("latin-1")])
def test_a_made_up_session_is_nobody(browser: Start, cookie: str) -> None:
    http = browser(api_key=BOOTSTRAP)
    headers = {"Cookie": f"{named(http, SESSION_COOKIE)}={cookie}".encode("latin-1")}

    assert http.get("/v1/searches", headers=headers).status_code == 401
    assert http.get("/", headers=headers).status_code == 303


def test_a_visitors_cookie_opens_nothing(browser: Start) -> None:
    http = browser(api_key=BOOTSTRAP)
    token = csrf_token(http, "/login")
    assert VISITOR_COOKIE in cookies(http)

    assert http.get("/v1/searches").status_code == 401
    answer = http.post("/v1/meta-trainings", json=META_TRAINING, headers={CSRF_HEADER: token})
    assert answer.status_code == 401


def test_a_session_ends_with_its_key(http: TestClient, store: Store) -> None:
    http.follow_redirects = False
    store.create_api_key("other", [Scope.READ])
    key, token = store.create_api_key("leaked", [Scope.ADMIN])
    log_in(http, token)
    before = http.get("/v1/searches").status_code

    store.revoke_api_key(key.id)

    assert (before, http.get("/v1/searches").status_code) == (200, 401)
    assert http.get("/").headers["Location"].startswith("/login")


def test_a_session_of_the_bootstrap_key_ends_with_it(browser: Start) -> None:
    http = browser(api_key=BOOTSTRAP)
    assert log_in(http, BOOTSTRAP).status_code == 303
    assert http.get("/v1/searches").status_code == 200

    restarted = browser(api_key="another-bootstrap-key")
    restarted.cookies.update(http.cookies)

    assert restarted.get("/v1/searches").status_code == 401


def test_logging_out_ends_the_session_for_good(logged_in: Callable[[Scope], TestClient]) -> None:
    http = logged_in(Scope.READ)
    stolen = f"{named(http, SESSION_COOKIE)}={cookies(http)[SESSION_COOKIE]}"

    out = http.post("/logout", data={CSRF_FIELD: csrf_token(http)})

    assert (out.status_code, out.headers["Location"]) == (303, "/login")
    assert SESSION_COOKIE not in cookies(http)
    assert http.get("/v1/searches", headers={"Cookie": stolen}).status_code == 401


@pytest.mark.parametrize(("scope", "status"), [(Scope.READ, 403), (Scope.SUBMIT, 200)])
def test_who_may_not_submit_a_search_has_none_checked(
    logged_in: Callable[[Scope], TestClient], scope: Scope, status: int
) -> None:
    http = logged_in(scope)
    assert http.post("/searches/new/check", data={CSRF_FIELD: csrf_token(http)}).status_code == status


def test_an_action_after_the_session_is_gone_leads_to_the_login(
    logged_in: Callable[[Scope], TestClient],
) -> None:
    http = logged_in(Scope.ADMIN)
    form = {CSRF_FIELD: csrf_token(http), "name": "x", "scope": "read"}
    visitor = {named(http, VISITOR_COOKIE): "of the login page after logging out elsewhere"}
    for left in ({}, visitor):
        http.cookies.clear()
        http.cookies.update(left)
        answer = http.post("/settings/keys", data=form)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=%2F")
        forged = http.post("/settings/keys", data=form, headers={"Origin": "http://evil.example"})
        assert forged.status_code == 403


def test_a_form_to_log_in_that_is_out_of_date_leads_on_or_comes_again(browser: Start) -> None:
    http = browser(api_key=BOOTSTRAP)
    form = {CSRF_FIELD: csrf_token(http, "/login"), "key": BOOTSTRAP, "next": "/searches"}
    http.cookies.clear()

    again = http.post("/login", data=form)
    assert (again.status_code, SESSION_COOKIE in cookies(http)) == (403, False)
    assert "out of date" in again.text
    assert 'value="/searches"' in again.text

    assert log_in(http, BOOTSTRAP).status_code == 303
    session = cookies(http)[SESSION_COOKIE]
    onwards = http.post("/login", data=form | {"key": "wrong"})
    assert (onwards.status_code, onwards.headers["Location"]) == (303, "/searches")
    assert cookies(http)[SESSION_COOKIE] == session


def test_logging_in_again_changes_the_token(logged_in: Callable[[Scope], TestClient]) -> None:
    http = logged_in(Scope.READ)
    first = cookies(http)[SESSION_COOKIE], csrf_token(http)
    logged_in(Scope.READ)

    assert cookies(http)[SESSION_COOKIE] != first[0]
    assert csrf_token(http) != first[1]


def test_with_a_session_the_api_changes_things_only_for_our_own_pages(
    logged_in: Callable[[Scope], TestClient],
) -> None:
    http = logged_in(Scope.SUBMIT)
    token = csrf_token(http)
    refused = [
        {},
        {CSRF_HEADER: ""},
        {CSRF_HEADER: "é".encode().decode("latin-1")},
        {CSRF_HEADER: token[:-1]},
        {CSRF_HEADER: cookies(http)[SESSION_COOKIE]},
        {CSRF_HEADER: token, "Origin": "http://evil.example"},
        {CSRF_HEADER: token, "Origin": "null"},
        {CSRF_HEADER: token, "Origin": "http://127.0.0.1:9999"},
        {CSRF_HEADER: token, "Origin": "http://localhost:8000"},
    ]

    for headers in refused:
        answer = http.post("/v1/meta-trainings", json=META_TRAINING, headers=_latin(headers))
        assert (answer.status_code, answer.json()["title"]) == (403, "This is not allowed"), headers
    for headers in ({CSRF_HEADER: token}, {CSRF_HEADER: token, "Origin": LOOPBACK}):
        assert http.post("/v1/meta-trainings", json=META_TRAINING, headers=headers).status_code == 201
    assert len(http.get("/v1/meta-trainings").json()["items"]) == 2


def test_a_form_in_place_of_a_checkpoint_is_refused_as_none(
    logged_in: Callable[[Scope], TestClient],
) -> None:
    """Reading the token out of it would take the body away from the upload."""
    http = logged_in(Scope.SUBMIT)
    sent: dict[str, Any] = {"data": {CSRF_FIELD: csrf_token(http)}, "files": {"file": b"no checkpoint"}}
    assert http.post("/v1/checkpoints", headers={"Idempotency-Key": "k"}, **sent).status_code == 403
    headers = {"Idempotency-Key": "k", CSRF_HEADER: csrf_token(http)}
    assert http.post("/v1/checkpoints", headers=headers, **sent).status_code == 400


def test_a_token_that_is_half_a_character_is_refused(browser: Start) -> None:
    http = browser(api_key=BOOTSTRAP)
    csrf_token(http, "/login")
    body = f'--x\r\nContent-Disposition: form-data; name="{CSRF_FIELD}"\r\n\r\n+2AA-\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x; charset=utf-7"}
    assert http.post("/login", content=body, headers=headers).status_code == 403


def test_a_token_of_another_session_is_refused(browser: Start, store: Store) -> None:
    _, key = store.create_api_key("submitter", [Scope.SUBMIT])
    mine, other = browser(), browser()
    log_in(mine, key)
    log_in(other, key)

    answer = mine.post("/v1/meta-trainings", json=META_TRAINING, headers={CSRF_HEADER: csrf_token(other)})

    assert answer.status_code == 403


def test_scopes_hold_in_a_session(logged_in: Callable[[Scope], TestClient]) -> None:
    http = logged_in(Scope.READ)

    answer = http.post("/v1/meta-trainings", json=META_TRAINING, headers={CSRF_HEADER: csrf_token(http)})

    assert answer.status_code == 403
    assert "submit" in answer.json()["remedy"]


def test_a_key_in_the_header_needs_no_token_and_wins_over_the_cookie(
    logged_in: Callable[[Scope], TestClient], store: Store
) -> None:
    http = logged_in(Scope.READ)
    _, submitter = store.create_api_key("submitter", [Scope.SUBMIT])
    bearer = {"Authorization": f"Bearer {submitter}"}

    assert http.post("/v1/meta-trainings", json=META_TRAINING, headers=bearer).status_code == 201
    assert http.get("/v1/searches", headers={"Authorization": "Bearer wrong"}).status_code == 401


@pytest.mark.parametrize(
    "elsewhere",
    ["//evil.example", "http://evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
     "javascript:alert(1)", "", "evil"],
)  # fmt: skip
def test_nobody_is_sent_to_another_site(browser: Start, store: Store, elsewhere: str) -> None:
    _, key = store.create_api_key("reader", [Scope.READ])

    assert log_in(browser(), key, next=elsewhere).headers["Location"] == "/"


def test_without_keys_there_is_nothing_to_log_in_to(browser: Start) -> None:
    assert browser().get("/login?next=/searches").headers["Location"] == "/searches"


def test_after_logging_in_one_is_where_one_wanted_to_go(browser: Start) -> None:
    http = browser(api_key=BOOTSTRAP)

    assert (
        http.get("/searches?state=failed").headers["Location"] == "/login?next=%2Fsearches%3Fstate%3Dfailed"
    )
    form = {CSRF_FIELD: csrf_token(http, "/login"), "name": "x", "scope": "read"}
    assert http.post("/settings/keys", data=form).headers["Location"] == "/login?next=%2F"


def test_who_comes_through_a_proxy_that_changes_the_host_learns_what_is_wrong(browser: Start) -> None:
    http = browser(api_key=BOOTSTRAP)
    form = {CSRF_FIELD: csrf_token(http, "/login"), "key": BOOTSTRAP}
    as_by_nginx = {"Origin": "https://nas.example:8443", "Host": "nas.example"}  # its $host has no port

    answer = http.post("/login", data=form, headers=as_by_nginx)

    assert answer.status_code == 403
    assert "addressed to nas.example" in answer.text
    assert "Host header" in answer.text


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://["])
def test_no_other_page_logs_a_browser_in_or_out(browser: Start, origin: str) -> None:
    http = browser(api_key=BOOTSTRAP)
    form = {CSRF_FIELD: csrf_token(http, "/login"), "key": BOOTSTRAP}

    assert http.post("/login", data=form, headers={"Origin": origin}).status_code == 403
    assert http.post("/login", data={"key": BOOTSTRAP}).status_code == 403
    assert http.post("/logout", data=form, headers={"Origin": origin}).status_code == 403
    assert SESSION_COOKIE not in cookies(http)


def test_without_keys_only_this_origin_changes_things_from_a_browser(browser: Start) -> None:
    http = browser()
    for origin in ("http://127.0.0.1:9999", "http://localhost:8000", "http://evil.example", "null"):
        answer = http.post("/v1/meta-trainings", json=META_TRAINING, headers={"Origin": origin})
        assert answer.status_code == 403, origin
    answer = http.post("/v1/meta-trainings", json=META_TRAINING, headers={"Origin": LOOPBACK})
    assert answer.status_code == 201


def test_htmx_is_told_where_to_log_in(browser: Start) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://127.0.0.1:8000/searches?state=failed"}
    answer = browser(api_key=BOOTSTRAP).get("/overview/jobs", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login?next=%2Fsearches%3Fstate%3Dfailed"


def test_every_action_of_a_page_needs_the_token(browser: Start) -> None:
    """Also the actions that are yet to be written, and where no key is needed."""
    http = browser()
    http.get("/")
    actions = [
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods)
        if method not in SAFE_METHODS
    ]

    answers = {(method, path): http.request(method, path).status_code for method, path in actions}

    assert ("POST", "/logout") in answers
    assert set(answers.values()) == {403}, answers


def _latin(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
