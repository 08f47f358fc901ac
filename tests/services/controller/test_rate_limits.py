"""Limits on how often a key may ask, and on how often an address may be wrong."""

from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from services.controller.app import create_app
from services.controller.problems import Problem
from services.controller.rate_limits import MOST_REMEMBERED, RateLimits, TokenBuckets
from services.settings import Settings
from services.store import Scope, Store


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def test_a_bucket_gives_its_burst_and_then_its_rate(seconds: Seconds) -> None:
    buckets = TokenBuckets(30, seconds)

    assert [buckets.take("a") for _ in range(30)] == [0.0] * 30
    assert buckets.take("a") == pytest.approx(2.0)
    assert buckets.take("b") == 0, "another name has a bucket of its own"
    seconds.now += 1.9
    assert buckets.take("a") == pytest.approx(0.1)
    seconds.now += 0.11
    assert (buckets.take("a"), buckets.take("a") > 0) == (0, True)
    seconds.now += 3600
    assert [buckets.take("a") for _ in range(31)].count(0.0) == 30, "it never holds more than its burst"


def test_zero_is_no_limit(seconds: Seconds) -> None:
    buckets = TokenBuckets(0, seconds)

    assert {buckets.take("a") for _ in range(10_000)} == {0.0}
    assert buckets.wait("a") == 0


def test_buckets_are_bounded_in_number(seconds: Seconds) -> None:
    buckets = TokenBuckets(1, seconds)
    for number in range(MOST_REMEMBERED + 10):
        buckets.take(str(number))

    assert len(buckets._buckets) == MOST_REMEMBERED
    assert buckets.take(str(MOST_REMEMBERED)) > 0, "those seen last are remembered"


def test_whoever_keeps_asking_is_remembered(seconds: Seconds) -> None:
    buckets = TokenBuckets(2, seconds)
    buckets.take("busy")
    for number in range(MOST_REMEMBERED - 1):
        buckets.take(str(number))
    buckets.take("busy")
    buckets.take("another")

    assert buckets.take("busy") > 0
    assert buckets.take("0") == 0, "it was not seen for the longest"


def test_whoever_is_refused_is_never_told_to_come_back_too_early(seconds: Seconds) -> None:
    limits = RateLimits(per_key=2, failures_per_address=0, clock=seconds)
    for _ in range(2):
        limits.admit_request("key")

    for passed, told in ((0.0, "30"), (29.5, "1")):
        seconds.now += passed
        with pytest.raises(Problem) as refused:
            limits.admit_request("key")
        assert refused.value.headers["Retry-After"] == told
    seconds.now += 1
    limits.admit_request("key")


@pytest.mark.parametrize(
    ("first", "second", "one_client"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("testclient", "testclient", True),
    ],
)
def test_an_address_is_counted_with_its_network(
    seconds: Seconds, first: str, second: str, one_client: bool
) -> None:
    limits = RateLimits(per_key=0, failures_per_address=1, clock=seconds)
    limits.note_failure(first)

    if one_client:
        with pytest.raises(Problem, match="this address"):
            limits.admit_attempt(second, "token")
    else:
        limits.admit_attempt(second, "token")


def test_a_key_that_was_good_is_not_locked_out_by_its_neighbours_mistakes(seconds: Seconds) -> None:
    limits = RateLimits(per_key=0, failures_per_address=1, clock=seconds)
    limits.note_success("good")
    limits.note_failure("192.0.2.1")

    limits.admit_attempt("192.0.2.1", "good")
    with pytest.raises(Problem):
        limits.admit_attempt("192.0.2.1", "unknown")
    with pytest.raises(Problem):
        limits.admit_attempt("192.0.2.1", None)


def test_a_key_that_is_good_no_more_is_counted_like_any_other(seconds: Seconds) -> None:
    limits = RateLimits(per_key=0, failures_per_address=1, clock=seconds)
    limits.note_success("revoked")
    limits.note_failure("192.0.2.1", "revoked")
    with pytest.raises(Problem):
        limits.admit_attempt("192.0.2.1", "revoked")


@pytest.fixture
def serving(settings: Settings) -> Iterator[Callable[..., TestClient]]:
    """Makes a client of a controller with other settings."""
    clients: list[TestClient] = []

    def make(**changes: object) -> TestClient:
        app = create_app(Settings(**{**dict(settings), **changes}))
        clients.append(TestClient(app, base_url="http://127.0.0.1:8000"))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_a_key_that_asks_too_often_is_told_when_to_come_back(
    serving: Callable[..., TestClient], store: Store
) -> None:
    _, busy = store.create_api_key("busy", [Scope.READ])
    _, quiet = store.create_api_key("quiet", [Scope.READ])
    http = serving(rate_limit_per_minute=3)

    answers = [http.get("/v1/searches", headers=_bearer(busy)) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refusal = answers[-1]
    assert refusal.headers["Content-Type"] == "application/problem+json"
    assert refusal.json()["type"] == "urn:gtn-nas:problem:too-many-requests"
    assert 1 <= int(refusal.headers["Retry-After"]) <= 20
    assert http.get("/v1/searches", headers=_bearer(quiet)).status_code == 200
    assert http.get("/healthz").status_code == 200, "probes are not counted"


def test_guessing_keys_is_slowed_down(serving: Callable[..., TestClient], store: Store) -> None:
    _, token = store.create_api_key("reader", [Scope.READ])
    http = serving(failed_keys_per_minute=2)
    assert http.get("/v1/searches", headers=_bearer(token)).status_code == 200

    guesses = [http.get("/v1/searches", headers=_bearer("guess")).status_code for _ in range(2)]
    without = http.get("/v1/searches")
    guesses.append(http.get("/v1/searches", headers=_bearer("guess")).status_code)

    assert guesses == [401, 401, 429]
    assert (without.status_code, "Retry-After" in without.headers) == (429, True)
    assert http.get("/v1/searches", headers=_bearer(token)).status_code == 200


def test_a_revoked_key_is_slowed_down_as_if_it_were_guessed(
    serving: Callable[..., TestClient], store: Store
) -> None:
    key, token = store.create_api_key("reader", [Scope.READ])
    store.create_api_key("another", [Scope.READ])
    http = serving(failed_keys_per_minute=2)
    assert http.get("/v1/searches", headers=_bearer(token)).status_code == 200
    store.revoke_api_key(key.id)
    answers = [http.get("/v1/searches", headers=_bearer(token)).status_code for _ in range(3)]
    assert answers == [401, 401, 429]


def test_an_open_controller_does_not_limit_its_own_machine(serving: Callable[..., TestClient]) -> None:
    http = serving(rate_limit_per_minute=1, failed_keys_per_minute=1)

    assert {http.get("/v1/searches").status_code for _ in range(5)} == {200}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
