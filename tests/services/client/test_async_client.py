"""The asynchronous client, through the same calls as the other one."""

import asyncio
import inspect
import pydoc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI

from services.client import ApiError, AsyncClient, Client, ControllerUnreachableError
from services.client.clients import Calls
from services.lifecycle import Action, JobState
from services.schemas import EventView, SearchView
from services.store import Store

SPACE = {"name": "nasbench201", "channels": 4}


def test_from_a_search_to_its_ranking(
    url: str, search: SearchView, run: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.client.connection.PAGE_SIZE", 2)

    async def session() -> list[tuple[int | None, int]]:
        async with AsyncClient(url) as client:
            created = await client.create_search(
                checkpoint_id=search.checkpoint_id, search_space=SPACE, max_candidates=4
            )
            run(created.id)
            ended = await client.wait(created.id)
            assert ended.state is JobState.SUCCEEDED
            assert ended.id in [each.id async for each in client.list_searches()]
            return [
                (each.rank, each.number) async for each in client.candidates(created.id, state="succeeded")
            ]

    assert asyncio.run(session()) == [(1, 1), (2, 2), (3, 0)]


def test_many_calls_wait_at_the_same_time(url: str, search: SearchView) -> None:
    async def session() -> set[str]:
        async with AsyncClient(url) as client:
            return {
                each.id for each in await asyncio.gather(*[client.get_search(search.id) for _ in range(20)])
            }

    assert asyncio.run(session()) == {search.id}


def test_a_broken_stream_is_taken_up_without_gap_or_repeat(
    url: str, app: FastAPI, store: Store, search: SearchView
) -> None:
    def break_the_stream() -> None:
        app.state.streams.closing = True
        threading.Timer(0.05, lambda: setattr(app.state.streams, "closing", False)).start()

    async def session() -> list[EventView]:
        received: list[EventView] = []
        async with AsyncClient(url, backoff=0.02) as client:
            async for event in client.events(search.id):
                received.append(event)
                if (number := len(received)) < 20:
                    await asyncio.to_thread(store.append_event, search.id, "log", {"number": number})
                if number in (7, 14):
                    break_the_stream()
                if number == 20:
                    await asyncio.to_thread(store.act, search.id, Action.CANCEL)
        return received

    received = asyncio.run(session())
    assert [event.data["number"] for event in received if event.type == "log"] == list(range(1, 20))
    assert received[-1].data["state"] == "cancelled"


def test_answers_that_get_lost_are_asked_for_again(url: str, network: Any, search: SearchView) -> None:
    network.answers_to_lose = 2

    async def session() -> SearchView:
        async with AsyncClient(url, backoff=0.01) as client:
            return await client.create_search(
                checkpoint_id=search.checkpoint_id, search_space=SPACE, max_candidates=9
            )

    created = asyncio.run(session())
    assert network.requests == ["POST /v1/searches"] * 2
    with Client(url) as client:
        assert {each.id for each in client.list_searches()} == {search.id, created.id}


def test_errors_are_those_of_the_other_client(url: str) -> None:
    async def session() -> None:
        async with AsyncClient(url) as client:
            with pytest.raises(ApiError) as refused:
                await client.get_job("nosuch")
            assert refused.value.status == 404
            with pytest.raises(ApiError, match="nosuch"):
                _ = [event async for event in client.events("nosuch")]
        async with AsyncClient("http://127.0.0.1:9", backoff=0.001) as nobody:
            with pytest.raises(ControllerUnreachableError, match="gtn-nas up"):
                await nobody.health()

    asyncio.run(session())


def test_the_blocking_client_works_inside_a_running_event_loop(url: str, search: SearchView) -> None:
    """As in a notebook."""

    async def session() -> list[str]:
        with Client(url) as client:
            return [each.id for each in client.list_searches()]

    assert asyncio.run(session()) == [search.id]


def test_an_iterator_that_is_left_early_closes_its_connection(client: Client, search: SearchView) -> None:
    events = client.events(search.id)
    assert next(events).data["state"] == "queued"
    events.close()  # type: ignore[attr-defined]  # it is a generator

    assert list(events) == []
    assert client.get_search(search.id).state is JobState.QUEUED


def test_help_shows_signature_and_purpose_of_every_call(client: Client) -> None:
    calls = {
        name
        for kind in Calls.__mro__
        for name, member in vars(kind).items()
        if type(member).__name__ in {"call", "listing"}
    }

    assert {"create_search", "candidates", "events", "wait"} <= calls
    assert all(inspect.getdoc(getattr(client, name)) for name in calls)
    assert str(inspect.signature(client.get_search)) == "(search_id: str) -> services.schemas.jobs.SearchView"
    for name in calls:  # nothing that blocks calls itself asynchronous, not of the class either
        for method in (getattr(client, name), getattr(Client, name)):
            assert "async " not in pydoc.plaintext.document(method)
            assert "Async" not in str(inspect.signature(method))
