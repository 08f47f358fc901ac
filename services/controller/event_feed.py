"""One reader of events per process, and the streams that it feeds.

However many clients follow jobs, the database is asked once per poll for what is new in all of them. A stream
that joins, or whose client reads too slowly for its queue, gets what it lacks from the database at its own
pace, and then joins the others again: memory is bounded and no event is lost or repeated.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
from fastapi.concurrency import run_in_threadpool

from services.errors import StoreUnavailableError
from services.store import EventRecord, Store

POLL_SECONDS = 0.25
BATCH = 500
"""Events read at a time, over all jobs."""
QUEUE = 100
"""Events that may wait for one client."""

log = structlog.get_logger(__name__)


class Subscription:
    """A stream's place in the feed. It is live while every new event comes into its queue."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.live = False
        self.over = False
        """Nothing more will come: the job has ended, or this controller does."""
        self._queue: deque[EventRecord] = deque()
        self._news = asyncio.Event()

    async def take(self) -> list[EventRecord]:
        """The events in the queue, oldest first, as soon as there is something to say."""
        await self._news.wait()
        self._news.clear()
        events = list(self._queue)
        self._queue.clear()
        return events

    def offer(self, event: EventRecord) -> None:
        """Put an event into the queue; a full queue is thrown away instead, for the database has it all."""
        if not self.live:
            return
        if len(self._queue) < QUEUE:
            self._queue.append(event)
        else:
            self._queue.clear()
            self.live = False
        self._news.set()

    def end(self) -> None:
        """Let the stream end once it has what is in its queue."""
        self.over = True
        self._news.set()


class EventFeed:
    """The reader of one application. Everything but `close` belongs to the event loop of the server."""

    def __init__(self, store: Store) -> None:
        self.closing = False
        self._store = store
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._positions: dict[str, int] = {}  # job id -> the last event that its live streams were offered
        self._reader: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def open(self) -> int:
        """How many streams there are."""
        return sum(map(len, list(self._subscriptions.values())))

    @contextmanager
    def subscribe(self, job_id: str) -> Iterator[Subscription]:
        """A subscription that is not yet live, for as long as the block runs."""
        self._loop = asyncio.get_running_loop()
        subscription = Subscription(job_id)
        self._subscriptions.setdefault(job_id, set()).add(subscription)
        try:
            yield subscription
        finally:
            subscription.live = False
            self._subscriptions[job_id].remove(subscription)
            if not self._subscriptions[job_id]:
                del self._subscriptions[job_id]
                self._positions.pop(job_id, None)

    def join(self, subscription: Subscription, after: int) -> None:
        """Make a subscription live whose stream has the job's events up to `after`.

        It stays as it is when the others are ahead of it: the stream has to read on before it tries again.
        """
        job_id = subscription.job_id
        if not any(other.live for other in self._subscriptions[job_id]):
            self._positions[job_id] = after
        subscription.live = self._positions[job_id] <= after
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())

    def close(self) -> None:
        """Let every stream end at once; clients resume at the next controller. From any thread."""
        self.closing = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended, and all streams with it
                self._loop.call_soon_threadsafe(self._end_all)

    async def _read(self) -> None:
        try:
            while not self.closing and (positions := self._live_positions()):
                events, ended = await run_in_threadpool(self._store.news_of_jobs, positions, BATCH)
                self._fan_out(events)
                if len(events) == BATCH:
                    continue  # more are waiting; whether a job has ended is seen when all are read
                for job_id in ended:
                    self._end(job_id)
                await asyncio.sleep(POLL_SECONDS)
        except StoreUnavailableError as error:
            log.warning("event streams end: the database is away", error=str(error))
            self._end_all()
        except Exception:
            log.exception("event streams end: they cannot be read")
            self._end_all()

    def _live_positions(self) -> dict[str, int]:
        return {
            job_id: self._positions[job_id]
            for job_id, subscriptions in self._subscriptions.items()
            if any(subscription.live for subscription in subscriptions)
        }

    def _fan_out(self, events: list[EventRecord]) -> None:
        for event in events:
            if event.job_id not in self._positions:
                continue  # its last stream has left meanwhile
            self._positions[event.job_id] = max(event.id, self._positions[event.job_id])
            for subscription in self._subscriptions[event.job_id]:
                subscription.offer(event)

    def _end(self, job_id: str) -> None:
        for subscription in self._subscriptions.get(job_id, ()):
            if subscription.live:
                subscription.end()

    def _end_all(self) -> None:
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.end()
