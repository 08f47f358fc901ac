"""Event streams: every event once and in order, resumable, and over when the job is."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from services.controller import events as event_streams
from services.lifecycle import Action, JobKind
from services.store import Store


def read(http: TestClient, path: str, last_event_id: int | str | None = None) -> list[httpx2.ServerSentEvent]:
    """The events of a stream that ends by itself."""
    headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
    answer = http.get(path, headers=headers)
    assert answer.headers["Content-Type"].startswith("text/event-stream"), answer.text
    return list(httpx2.EventSource(answer))


@pytest.fixture
def ended_search(store: Store, scored_search: str) -> str:
    store.finish(scored_search, "runner", result={})
    return scored_search


def test_the_stream_of_an_ended_search_tells_its_whole_story_and_ends(
    http: TestClient, store: Store, ended_search: str
) -> None:
    events = read(http, f"/v1/searches/{ended_search}/events")

    assert [event.event for event in events] == ["state", "state", *["candidate"] * 4, "state"]
    assert [event.id for event in events] == [str(record.id) for record in store.events_after(ended_search)]
    last = json.loads(events[-1].data)
    assert (last["id"], last["type"]) == (int(events[-1].id), "state")
    assert last["data"] == {"state": "succeeded", "action": "succeed"}
    assert json.loads(events[2].data)["data"]["metrics"]["accuracy"] == 0.5


def test_a_stream_goes_on_after_the_last_event_that_was_received(http: TestClient, ended_search: str) -> None:
    path = f"/v1/searches/{ended_search}/events"
    whole = read(http, path)

    for position, event in enumerate(whole[:-1]):
        assert read(http, path, event.id) == whole[position + 1 :]


@pytest.mark.parametrize("beyond", [0, 1, 2**62])
def test_who_has_every_event_is_told_that_none_will_come(
    http: TestClient, store: Store, ended_search: str, beyond: int
) -> None:
    last = store.events_after(ended_search)[-1].id
    answer = http.get(f"/v1/searches/{ended_search}/events", headers={"Last-Event-ID": str(last + beyond)})

    assert (answer.status_code, answer.content) == (204, b"")


def test_an_id_ahead_of_all_events_holds_up_no_other_stream(
    live_url: str, store: Store, search_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    look = event_streams._look

    def count(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        return look(*arguments)

    monkeypatch.setattr(event_streams, "_look", count)
    path = f"{live_url}/v1/searches/{search_id}/events"
    ahead = {"Last-Event-ID": str(2**62)}
    with httpx2.stream("GET", path, headers=ahead) as one, httpx2.stream("GET", path) as other:
        first = other.iter_lines()
        assert next(first).startswith("event: state") or next(first)
        time.sleep(0.5)
        looked = looks
        store.append_event(search_id, "log", {"message": "news"})
        for stream in (one.iter_lines(), first):
            assert any("news" in line for line in stream)
    assert looked < 10  # each looks until it has all that there is, and then waits for news


def test_a_long_story_is_sent_in_bounded_batches(
    http: TestClient, store: Store, search_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "BATCH", 3)
    for number in range(8):
        store.append_event(search_id, "log", {"number": number})
    store.act(search_id, Action.CANCEL)

    events = read(http, f"/v1/searches/{search_id}/events")

    assert [json.loads(event.data)["data"].get("number") for event in events] == [None, *range(8), None]


@pytest.mark.parametrize("last_event_id", ["-1", "abc", str(2**63), "1.5"])
def test_a_last_event_id_that_cannot_be_one_is_named(
    http: TestClient, search_id: str, last_event_id: str
) -> None:
    answer = http.get(f"/v1/searches/{search_id}/events", headers={"Last-Event-ID": last_event_id})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["Last-Event-ID"]


def test_meta_trainings_and_final_trainings_have_streams_too(
    http: TestClient, store: Store, scored_search: str
) -> None:
    run = http.post("/v1/meta-trainings", json={"dataset": {"name": "digits"}}).json()
    training = http.post(f"/v1/candidates/{scored_search}-0/retrain").json()
    for path in (f"/v1/meta-trainings/{run['id']}", f"/v1/final-trainings/{training['id']}"):
        http.post(f"{path}/cancel")
        assert [json.loads(event.data)["data"]["state"] for event in read(http, f"{path}/events")] == [
            "queued", "cancelled",
        ]  # fmt: skip


def test_events_arrive_while_the_search_runs(
    live_url: str, store: Store, search_id: str, succeed: Callable[..., None]
) -> None:
    received: list[str] = []

    def follow() -> None:
        with httpx2.Client(base_url=live_url).sse(f"/v1/searches/{search_id}/events") as source:
            received.extend(event.event for event in source)

    follower = threading.Thread(target=follow)
    follower.start()
    _wait_until(lambda: received == ["state"])
    store.claim(JobKind.SEARCH, "runner", 60)
    succeed(search_id, 0)
    _wait_until(lambda: received == ["state", "state", "candidate"])
    store.finish(search_id, "runner", result={})
    follower.join(timeout=30)

    assert received == ["state", "state", "candidate", "state"]


def test_the_stream_of_a_deleted_search_ends(
    live_url: str, store: Store, search_id: str, app: FastAPI
) -> None:
    with httpx2.Client(base_url=live_url).sse(f"/v1/searches/{search_id}/events") as source:
        stream = iter(source)
        assert next(stream).event == "state"
        store.act(search_id, Action.CANCEL)
        store.delete_job(search_id)
        rest = [event.event for event in stream]

    assert rest in ([], ["state"])


def test_many_streams_leave_the_controller_answering(live_url: str, search_id: str) -> None:
    """More streams than the server has threads: none of them keeps one."""
    limits = httpx2.Limits(max_connections=200)
    with httpx2.Client(base_url=live_url, limits=limits, timeout=60) as http:
        streams = [http.sse(f"/v1/searches/{search_id}/events") for _ in range(100)]
        sources = [iter(stream.__enter__()) for stream in streams]
        first = [next(source).event for source in sources]
        answer = http.post(f"/v1/searches/{search_id}/cancel")
        last = [json.loads(next(source).data)["data"]["state"] for source in sources]
        for stream in streams:
            stream.__exit__(None, None, None)

    assert first == ["state"] * 100
    assert answer.json()["state"] == "cancelled"
    assert last == ["cancelled"] * 100


def test_streams_end_when_the_server_does(app: FastAPI, live_url: str, search_id: str) -> None:
    with httpx2.Client(base_url=live_url, timeout=30).sse(f"/v1/searches/{search_id}/events") as source:
        stream = iter(source)
        next(stream)
        app.state.streams.close()
        rest: list[Any] = list(stream)

    assert rest == []


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
