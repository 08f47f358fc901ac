"""Waiting for jobs and following their events, across streams that break."""

import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from services.client import Client, ControllerUnreachableError
from services.client.connection import NothingMore
from services.lifecycle import Action, JobState
from services.schemas import EventView, SearchView
from services.store import Store


def test_waiting_reports_progress_and_has_an_end(
    client: Client, store: Store, search: SearchView, run: Callable[[str], None]
) -> None:
    seen: list[tuple[JobState, int]] = []

    def note(job: Any) -> None:
        seen.append((job.state, job.progress.done))
        if job.state is JobState.QUEUED:
            run(search.id)

    with pytest.raises(TimeoutError, match=f"job {search.id} is queued after 0.05 s"):
        client.wait(search.id, timeout=0.05, poll_seconds=0.01)
    client.wait(search.id, on_progress=note, poll_seconds=0.01)

    assert seen == [(JobState.QUEUED, 0), (JobState.SUCCEEDED, 4)]


def test_the_last_look_is_when_the_time_is_up(
    client: Client, search: SearchView, run: Callable[[str], None]
) -> None:
    """However long the pause between two looks is."""

    def end(job: Any) -> None:
        if job.state is JobState.QUEUED:
            run(search.id)

    ended = client.wait(search.id, timeout=0.2, on_progress=end, poll_seconds=3600)

    assert ended.state is JobState.SUCCEEDED


def test_waiting_outlasts_a_restart_of_the_controller(
    url: str, network: Any, store: Store, search: SearchView
) -> None:
    def restart(job: Any) -> None:
        if not job.state.terminal:
            store.act(search.id, Action.CANCEL)
            network.answers_to_lose = 10  # of a call that does not watch, 5 are too many

    with Client(url, backoff=0.001) as client:
        ended = client.wait(search.id, on_progress=restart, poll_seconds=0.01)

    assert ended.state is JobState.CANCELLED
    assert network.answers_to_lose == 0


def test_following_outlasts_a_restart_of_the_controller(
    url: str, app: FastAPI, network: Any, store: Store, search: SearchView, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(url, backoff=0.001) as client:
        events = client.events(search.id)
        states = [next(events).data["state"]]
        app.state.streams.close()
        store.act(search.id, Action.CANCEL)
        network.answers_to_lose = 10
        app.state.streams.closing = False
        states += [event.data["state"] for event in events]

    assert states == ["queued", "cancelled"]
    assert network.answers_to_lose == 0
    told = [record.getMessage() for record in caplog.records if record.name.startswith("services.client")]
    assert len(told) == 1
    assert "still trying" in told[0]


def test_any_number_of_outages_is_outlasted_as_long_as_something_is_heard_between_them(
    url: str, search: SearchView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three attempts fail, a fourth one tells of an event and breaks, and so on; three in a row are borne."""
    attempts: list[int] = []

    async def faltering(_path: str, after: int) -> AsyncGenerator[EventView]:
        attempts.append(after)
        if after == 5:
            raise NothingMore
        if len(attempts) % 4 == 0:
            yield EventView(id=after + 1, type="log", data={}, created_at=search.created_at)
        raise httpx2.ReadError("broken")

    with Client(url, backoff=0.001, watch_retries=3) as client:
        monkeypatch.setattr(client, "_stream", faltering)
        assert [event.id for event in client.events(search.id)] == [1, 2, 3, 4, 5]
    assert attempts == [after for after in range(5) for _ in range(4)] + [5]


def test_a_proxy_may_end_a_silent_stream_as_often_as_it_likes(
    url: str, search: SearchView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each was opened, so the controller is there; a job in the queue has nothing to tell."""
    attempts: list[int] = []

    async def cut_off(_path: str, after: int) -> AsyncGenerator[EventView | None]:
        attempts.append(after)
        yield None
        if len(attempts) == 10:
            yield EventView(id=1, type="log", data={}, created_at=search.created_at)
            raise NothingMore
        raise httpx2.RemoteProtocolError("incomplete chunked read")

    monkeypatch.setattr("services.client.connection.LASTING_SECONDS", 0.0)
    with Client(url, backoff=0.001, watch_retries=3) as client:
        monkeypatch.setattr(client, "_stream", cut_off)
        assert [event.id for event in client.events(search.id)] == [1]
    assert len(attempts) == 10


def test_an_outage_does_not_stretch_the_time_that_one_waits(
    url: str, network: Any, search: SearchView
) -> None:
    def go_away(_: Any) -> None:
        network.answers_to_lose = 10**6

    with Client(url, backoff=0.001) as client, pytest.raises(TimeoutError, match="is queued after"):
        client.wait(search.id, timeout=0.05, on_progress=go_away, poll_seconds=0.001)


def test_a_broken_stream_is_taken_up_without_gap_or_repeat(
    client: Client, app: FastAPI, store: Store, search: SearchView
) -> None:
    received: list[EventView] = []
    patient = Client(client.url, backoff=0.02)
    follower = threading.Thread(target=lambda: received.extend(patient.events(search.id)))
    follower.start()
    for number in range(30):
        store.append_event(search.id, "log", {"number": number})
        if number in (10, 20):
            # The streams end, as they do when a controller is restarted, and go on a little later.
            app.state.streams.close()
            threading.Timer(0.05, lambda: setattr(app.state.streams, "closing", False)).start()
    store.act(search.id, Action.CANCEL)
    follower.join(timeout=60)
    patient.close()

    assert [event.data["number"] for event in received if event.type == "log"] == list(range(30))
    assert received[-1].data["state"] == "cancelled"
    after = received[10].id
    assert list(client.events(search.id, after=after)) == received[11:]


def test_a_stream_that_ends_without_a_word_is_not_the_end(
    client: Client, app: FastAPI, store: Store, search: SearchView
) -> None:
    store.act(search.id, Action.CANCEL)
    app.state.streams.close()
    opening = threading.Timer(0.2, lambda: setattr(app.state.streams, "closing", False))
    opening.start()
    with Client(client.url, backoff=0.02) as patient:
        states = [event.data["state"] for event in patient.events(search.id)]
    opening.join()

    assert states == ["queued", "cancelled"]
    with Client(client.url, watch_retries=0) as impatient:
        assert len(list(impatient.events(search.id))) == 2
        app.state.streams.close()
        with pytest.raises(ControllerUnreachableError, match="keeps ending early"):
            list(impatient.events(search.id))
