"""One reader for all streams: each event once and in order, however slow or however many the clients are."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.controller import event_feed
from services.controller.event_feed import EventFeed, Subscription
from services.errors import StoreUnavailableError
from services.lifecycle import Action, JobKind
from services.store import JobRecord, Store

STREAMS = 500


@pytest.fixture
def search(store: Store) -> JobRecord:
    return store.create_job(JobKind.SEARCH, name="", request={}, progress_total=10)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "POLL_SECONDS", 0.01)


def append(store: Store, job: JobRecord, numbers: range) -> None:
    for number in numbers:
        store.append_event(job.id, "log", {"number": number})


def last_id(store: Store, job: JobRecord) -> int:
    return store.events_after(job.id, limit=1000)[-1].id


async def numbers_of(subscription: Subscription, count: int) -> list[int]:
    received: list[int] = []
    while len(received) < count:
        received += [event.data["number"] for event in await asyncio.wait_for(subscription.take(), 30)]
    return received


def test_every_live_stream_gets_every_event_and_the_end(store: Store, search: JobRecord) -> None:
    async def follow() -> list[list[int]]:
        feed = EventFeed(store)
        with feed.subscribe(search.id) as one, feed.subscribe(search.id) as two:
            for subscription in (one, two):
                feed.join(subscription, last_id(store, search))
            await asyncio.to_thread(append, store, search, range(5))
            received = [await numbers_of(subscription, 5) for subscription in (one, two)]
            await asyncio.to_thread(store.act, search.id, Action.CANCEL)
            for subscription in (one, two):
                while not subscription.over:
                    await asyncio.wait_for(subscription.take(), 30)
            return received

    assert asyncio.run(follow()) == [list(range(5))] * 2


def test_a_queue_that_overflows_is_dropped_and_the_stream_reads_for_itself(
    store: Store, search: JobRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "QUEUE", 3)

    async def follow() -> tuple[list[int], bool]:
        feed = EventFeed(store)
        with feed.subscribe(search.id) as slow, feed.subscribe(search.id) as quick:
            for subscription in (slow, quick):
                feed.join(subscription, last_id(store, search))
            received = []
            for number in range(6):  # one at a time, so that the quick one keeps up
                await asyncio.to_thread(append, store, search, range(number, number + 1))
                received += await numbers_of(quick, 1)
            assert not slow.live
            assert await asyncio.wait_for(slow.take(), 30) == []
            feed.join(slow, 0)
            behind = slow.live
            feed.join(slow, last_id(store, search))
            await asyncio.to_thread(append, store, search, range(6, 7))
            assert await numbers_of(slow, 1) == [6]
            return received, behind

    assert asyncio.run(follow()) == (list(range(6)), False)


def test_a_lost_database_ends_the_streams_and_the_next_stream_starts_a_new_reader(
    store: Store, search: JobRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise StoreUnavailableError("away")

    async def follow() -> None:
        feed = EventFeed(store)
        with feed.subscribe(search.id) as first, monkeypatch.context() as patch:
            patch.setattr(store, "news_of_jobs", away)
            feed.join(first, 0)
            while not first.over:
                await asyncio.wait_for(first.take(), 30)
        with feed.subscribe(search.id) as second:
            feed.join(second, last_id(store, search))
            await asyncio.to_thread(append, store, search, range(1))
            assert await numbers_of(second, 1) == [0]

    asyncio.run(follow())


def test_nothing_is_kept_of_streams_that_left(store: Store, search: JobRecord) -> None:
    async def follow() -> EventFeed:
        feed = EventFeed(store)
        with feed.subscribe(search.id) as subscription:
            feed.join(subscription, 0)
        assert feed._reader is not None
        await asyncio.wait_for(feed._reader, 30)
        return feed

    feed = asyncio.run(follow())
    assert (feed._subscriptions, feed._positions) == ({}, {})


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * STREAMS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this user may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_five_hundred_streams_are_held_and_each_gets_the_next_event(
    live_url: str, store: Store, search_id: str, many_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    ask = Store.news_of_jobs

    def count(self: Store, positions: Any, limit: int) -> Any:
        nonlocal reads
        reads += 1
        return ask(self, positions, limit)

    monkeypatch.setattr(Store, "news_of_jobs", count)

    async def follow() -> tuple[list[str], list[dict[str, Any]], list[bytes], int]:
        streams = [_Stream(live_url, search_id) for _ in range(STREAMS)]
        async with _all_open(streams):
            first = await asyncio.gather(*(stream.next_event() for stream in streams))
            before = reads
            await asyncio.to_thread(store.append_event, search_id, "log", {"text": "hello"})
            second = await asyncio.gather(*(stream.next_event() for stream in streams))
            asked = reads - before
            await asyncio.to_thread(store.act, search_id, Action.CANCEL)
            await asyncio.gather(*(stream.next_event() for stream in streams))
            rest = await asyncio.gather(*(stream.rest() for stream in streams))
            return [event["type"] for event in first], second, rest, asked

    first, second, rest, asked = asyncio.run(follow())

    assert first == ["state"] * STREAMS
    assert [event["data"] for event in second] == [{"text": "hello"}] * STREAMS
    assert rest == [b"0\r\n\r\n"] * STREAMS, "each stream ends in order"
    assert asked < STREAMS / 2, "the streams share their reads"


class _Stream:
    """A client of one event stream, over a plain socket."""

    def __init__(self, url: str, search_id: str) -> None:
        self._address, self._path = urlsplit(url), f"/v1/searches/{search_id}/events"

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        self._writer.write(f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 120)
        assert b" 200 " in head.splitlines()[0], head

    async def next_event(self) -> dict[str, Any]:
        while True:
            line = await asyncio.wait_for(self._reader.readline(), 120)
            assert line, "the stream broke off"
            if line.startswith(b"data: "):
                event: dict[str, Any] = json.loads(line[6:])
                return event

    async def rest(self) -> bytes:
        """The last bytes of the answer: those that end a body in chunks."""
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            piece = await asyncio.wait_for(self._reader.read(1000), 120)
            assert piece, data
            data += piece
        return data[-5:]

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def _all_open(streams: list[_Stream]) -> AsyncIterator[None]:
    for start in range(0, len(streams), 50):
        await asyncio.gather(*(stream.open() for stream in streams[start : start + 50]))
    yield
    for stream in streams:
        stream.close()
