"""A job's events as a stream: resumable, bounded in memory, and without a thread of its own.

A stream may end for many reasons. Whoever comes back with the id of the last event it has gets the rest; who
has all events of a job that has ended gets 204, which also tells a browser not to come back.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent

from services.controller.dependencies import StoreDep
from services.controller.event_feed import EventFeed
from services.controller.views import event_view
from services.errors import NotFoundError, StoreUnavailableError
from services.store import EventRecord, JobRecord, Store

BATCH = 100
"""Events of one job read at a time; the next are read when the client has taken these."""

NOTHING_MORE: dict[int | str, dict[str, Any]] = {
    204: {"description": "The job has ended, and there is no event after `Last-Event-ID`"}
}


class NothingMore(Exception):  # noqa: N818 - an answer, not a failure
    """Every event of an ended job has been received: 204."""


@dataclass(frozen=True, slots=True)
class EventStream:
    """Which events a client wants: those of one job, with ids above `after`."""

    job_id: str
    after: int


def stream_of(find_job: Callable[..., JobRecord]) -> Callable[..., EventStream]:
    """A dependency: the stream that a client asks for, of the job that another dependency finds."""

    def stream(
        job: Annotated[JobRecord, Depends(find_job)],
        store: StoreDep,
        last_event_id: Annotated[
            int,
            Header(
                alias="Last-Event-ID",
                ge=0,
                lt=2**63,
                description="id of the last event that was received; the stream goes on after it",
            ),
        ] = 0,
    ) -> EventStream:
        if job.state.terminal and not store.events_after(job.id, last_event_id, 1):
            raise NothingMore
        if last_event_id:  # one of another job, or of a database that was restored, may lie ahead of all
            last_event_id = min(last_event_id, store.last_event_id(job.id))
        return EventStream(job.id, last_event_id)

    return stream


async def send_events(request: Request, stream: EventStream) -> AsyncIterator[ServerSentEvent]:
    """The events as they happen, until the job has ended and all were sent."""
    store: Store = request.app.state.store
    feed: EventFeed = request.app.state.streams
    after = stream.after
    with feed.subscribe(stream.job_id) as subscription:
        while not feed.closing:
            if subscription.live:
                events = await subscription.take()
                caught_up = ended = subscription.over and subscription.live
            else:
                try:
                    ended, events = await run_in_threadpool(_look, store, stream.job_id, after)
                except (NotFoundError, StoreUnavailableError):
                    return  # deleted, or the database is away: clients come back with the last id they have
                caught_up = len(events) < BATCH
            for event in events:
                if event.id > after:
                    yield _server_sent(event)
                    after = event.id
            if caught_up and ended:
                return
            if caught_up:
                feed.join(subscription, after)


def _look(store: Store, job_id: str, after: int) -> tuple[bool, list[EventRecord]]:
    # The state is read first: once it is an end, the event that says so is among those read after it.
    ended = store.get_job(job_id).state.terminal
    return ended, store.events_after(job_id, after, BATCH)


def _server_sent(event: EventRecord) -> ServerSentEvent:
    return ServerSentEvent(id=str(event.id), event=event.type, data=event_view(event))
