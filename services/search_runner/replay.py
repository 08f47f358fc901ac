"""A search rebuilt from the database: what was measured is told again, what was cut off is repeated."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from gtn_core import CheckpointManifest
from nas.search import Search
from nas.search_spec import SearchSpec, uses_plugins
from services.lifecycle import JobState
from services.search_runner.earlier_scores import EarlierScores
from services.search_runner.results import stored_proposal, stored_result
from services.store import EventRecord, EventType, Store

EVENTS_READ = 1000
"""Events read from the database at a time."""


def rebuild_search(store: Store, search_id: str, spec: SearchSpec, manifest: CheckpointManifest) -> Search:
    """The search as its record tells it, ready to go on, with what is left of its time."""
    if spec.max_seconds is not None:
        left = spec.max_seconds - _seconds_run(store, search_id)
        spec = spec.model_copy(update={"max_seconds": max(left, 0.001)})
    return Search(
        spec,
        manifest.image_shape,
        manifest.num_classes,
        history=[stored_result(record) for record in store.history(search_id)],
        in_flight=[stored_proposal(record) for record in store.in_flight(search_id)],
        recall=None if uses_plugins(spec) else EarlierScores(store, search_id),
    )


def _seconds_run(store: Store, search_id: str) -> float:
    """How long earlier runners had the search.

    What does not count: the time in which it was queued or paused, or its silent runner's lease had run out;
    and, once it is extended, what a runner took beyond the limit that it had, for Ray to start and to end.
    """
    total, claimed_at, limit = 0.0, None, None
    for event in _events(store, search_id):
        if event.type == EventType.EXTENDED:
            limit = event.data.get("max_seconds_before") if limit is None else limit
        elif event.type == EventType.STATE and event.data["state"] == JobState.RUNNING:
            claimed_at = event.created_at
        elif event.type == EventType.SUSPENDED and claimed_at is not None:
            claimed_at += timedelta(seconds=event.data["seconds"])
        elif event.type == EventType.STATE and claimed_at is not None:
            silent_since = event.data.get("held_until")
            held_until = datetime.fromisoformat(silent_since) if silent_since else event.created_at
            total += max(0.0, (held_until - claimed_at).total_seconds())  # clocks may be put back
            claimed_at = None
        if limit is not None and claimed_at is None:  # a runner at work keeps to the limit that it began with
            total, limit = min(total, limit), None
    return total


def _events(store: Store, search_id: str) -> Iterator[EventRecord]:
    last = 0
    while events := store.events_after(search_id, last, EVENTS_READ):
        yield from events
        last = events[-1].id
