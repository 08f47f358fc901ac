"""What the client does when answers get lost, and when nobody answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from services.client import ApiError, Client, ControllerSilentError, ControllerUnreachableError
from services.client.retries import Retries, retry_after
from services.schemas import ProblemDetails, SearchView

SPACE = {"name": "nasbench201", "channels": 4}


def test_reading_is_tried_again(client: Client, network: Any, search: SearchView) -> None:
    network.answers_to_lose = 3

    assert client.get_search(search.id).id == search.id
    assert network.requests == [f"GET /v1/searches/{search.id}"] * 3


def test_a_creation_whose_answer_was_lost_is_made_once(
    client: Client, network: Any, search: SearchView
) -> None:
    network.answers_to_lose = 2
    another = client.create_search(checkpoint_id=search.checkpoint_id, search_space=SPACE, max_candidates=9)

    assert network.requests == ["POST /v1/searches"] * 2
    assert {each.id for each in client.list_searches()} == {search.id, another.id}


def test_other_changes_are_sent_once(client: Client, network: Any, search: SearchView) -> None:
    network.answers_to_lose = 9
    with pytest.raises(ApiError, match="503"):
        client.pause(search.id)
    checkpoint_id = search.checkpoint_id
    with pytest.raises(ApiError, match="503"):
        client.delete_checkpoint(checkpoint_id)

    assert network.requests == [
        f"POST /v1/searches/{search.id}/pause", f"DELETE /v1/checkpoints/{checkpoint_id}"
    ]  # fmt: skip


def test_any_change_that_came_too_often_is_asked_for_again(
    client: Client, network: Any, search: SearchView
) -> None:
    network.answers_to_lose, network.status = 2, 429

    assert client.pause(search.id).state == "paused"
    assert network.requests == [f"POST /v1/searches/{search.id}/pause"] * 2


def test_giving_up_tells_the_last_answer(client: Client, network: Any) -> None:
    network.answers_to_lose = 99

    with pytest.raises(ApiError, match="503 Service Unavailable") as refused:
        client.health()
    assert refused.value.status == 503
    assert len(network.requests) == 5


def test_refusals_are_not_tried_again(client: Client, network: Any) -> None:
    network.answers_to_lose, network.status = 99, 500

    with pytest.raises(ApiError, match="500"):
        client.health()
    assert len(network.requests) == 1


def test_the_pause_doubles_and_half_of_it_is_random() -> None:
    retries, unreachable = Retries(most=20, backoff=0.1), ControllerUnreachableError("http://x", "down")
    drawn = [[retries.pause(attempt, unreachable) for _ in range(50)] for attempt in range(20)]

    for attempt, pauses in enumerate(drawn):
        longest = min(0.1 * 2**attempt, 10.0)
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 1
    with pytest.raises(ControllerUnreachableError):
        retries.pause(20, unreachable)


def refused(status: int, retry_after: float) -> ApiError:
    return ApiError(status, ProblemDetails(title="later"), retry_after)


def test_no_attempt_comes_before_the_time_that_the_controller_asks_for() -> None:
    retries = Retries(most=2, backoff=0.1)

    assert 7.05 <= retries.pause(0, refused(429, 7)) <= 7.1
    for status in (502, 503, 504):
        assert 7.05 <= retries.pause(0, refused(status, 7)) <= 7.1
    for attempt, failure in [
        (0, refused(429, 3600)),  # nobody waits for an hour: tell the caller
        (0, refused(422, 0)),
        (2, refused(429, 0)),
    ]:
        with pytest.raises(ApiError) as final:
            retries.pause(attempt, failure)
        assert final.value is failure


def test_a_retry_after_header_is_seconds_or_a_date() -> None:
    assert retry_after("120") == 120
    assert retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0
    assert retry_after("Fri, 31 Dec 2999 23:59:59 GMT") > 1e9
    assert retry_after("") == retry_after("soon") == 0


def test_a_refusal_tells_how_long_to_wait(client: Client, network: Any) -> None:
    network.answers_to_lose, network.status, network.headers = 1, 429, [(b"retry-after", b"3600")]

    with pytest.raises(ApiError, match="429") as refused:
        client.health()
    assert refused.value.retry_after == 3600
    assert network.requests == ["GET /healthz"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9",
        "http://name.invalid",
        "127.0.0.1:8000",
        "ftp://x",
        "",
        "http://127.0.0.1:8OOO",
        "http://two..dots:8000",
    ],
)
def test_no_controller_is_one_clear_line(url: str) -> None:
    with pytest.raises(ControllerUnreachableError) as unreachable, Client(url, backoff=0.001) as client:
        client.health()

    assert str(unreachable.value).startswith(f"no controller at {url} (")
    assert "start one with `gtn-nas up` or pass --url" in str(unreachable.value)


def test_a_controller_that_is_too_busy_to_answer_is_not_said_to_be_missing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes nothing up
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ControllerSilentError) as silent, Client(url, timeout=0.01, retries=0) as client:
            client.health()

    assert str(silent.value).startswith(f"the controller at {url} does not answer in time")


@contextmanager
def answering(status: int, headers: dict[str, str], body: bytes, job: str = "") -> Iterator[Client]:
    """A client of a server that always gives one answer, unless it is asked for a job that it has."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_job = job and not self.path.endswith("/events")
            self.send_response(200 if is_job else status)
            for name, value in () if is_job else headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(job.encode() if is_job else body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.server_port}", retries=0, watch_retries=0) as client:
            yield client
        server.shutdown()


def test_something_else_at_the_address_is_no_controller() -> None:
    told = pytest.raises(ControllerUnreachableError, match="or a controller of another version")
    with answering(200, {}, b"<html>hello</html>") as client, told:
        client.health()


def test_a_controller_that_lacks_what_is_asked_for_may_be_of_another_version() -> None:
    body = b'{"title": "There is no such thing", "status": 404, "detail": "there is nothing at /v1/searches"}'
    told = pytest.raises(ApiError, match=r"nothing at /v1/searches.* Check .* is of this version")
    with answering(404, {}, body) as client, told:
        list(client.list_searches())


@pytest.mark.parametrize(
    ("status", "headers", "body", "error", "told"),
    [
        (302, {"Location": "/login"}, b"", ApiError, "302"),
        (200, {"Content-Encoding": "gzip"}, b"junk", ControllerUnreachableError, "decompress"),
        (200, {}, b"id: 5\ndata: {}\n\n", ControllerUnreachableError, "something else answers there"),
    ],
)
def test_whatever_answers_in_place_of_events_is_one_of_the_clients_errors(
    search: SearchView, status: int, headers: dict[str, str], body: bytes, error: type[Exception], told: str
) -> None:
    given = {"Content-Type": "text/event-stream", **headers}
    with answering(status, given, body, search.model_dump_json()) as client, pytest.raises(error, match=told):
        list(client.events(search.id))
