"""Events: what happened to a job, append-only, in an order that a reader can resume from."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.lifecycle import TERMINAL_STATES
from services.store.json_values import check_json
from services.store.records import EventRecord, JsonObject
from services.store.repository import Repository, batched, find, leased_job
from services.store.tables import Event, Job


def record_event(session: Session, job: Job, event_type: str, data: JsonObject, now: datetime) -> None:
    """Append an event in the caller's transaction, which must hold the lock of the job's row.

    Holding it makes the ids of one job's events grow in the order of their commits: a reader who has
    seen id n will never be shown a smaller one later, so resuming after n skips nothing.
    """
    session.add(Event(job_id=job.id, type=event_type, data=data, created_at=now))


class EventRepository(Repository):
    """Events of jobs."""

    def append_event(
        self, job_id: str, event_type: str, data: JsonObject, *, owner: str | None = None
    ) -> None:
        """Append an event of the runner's own. Appends of one job wait for each other.

        Raises InvalidValueError when `data` is not JSON, NotFoundError when the job is gone; or, told whose
        event it is, LeaseLostError when that owner does not hold the job's lease, or the job is gone.
        """
        check_json(data, f"data of event {event_type!r}")
        with self._database.write() as session:
            if owner is None:
                job = find(session, Job, "job", job_id, lock=True)
            else:
                job = leased_job(session, job_id, owner)
            record_event(session, job, event_type, data, self._now(session))

    def events_after(self, job_id: str, after_id: int = 0, limit: int = 100) -> list[EventRecord]:
        """The events of a job with ids above `after_id`, oldest first; empty for an unknown job."""
        with self._database.read() as session:
            events = session.scalars(
                sa.select(Event)
                .where(Event.job_id == job_id, Event.id > after_id)
                .order_by(Event.id)
                .limit(limit)
            )
            return [_record(event) for event in events]

    def last_event_id(self, job_id: str) -> int:
        """The id of the newest event of a job; 0 for an unknown job."""
        with self._database.read() as session:
            return session.scalar(sa.select(sa.func.max(Event.id)).where(Event.job_id == job_id)) or 0

    def latest_events(self, job_id: str, types: Sequence[str], limit: int) -> list[EventRecord]:
        """The latest events of a job that are of these types, the newest first."""
        wanted = sa.select(Event).where(Event.job_id == job_id, Event.type.in_(types))
        with self._database.read() as session:
            events = session.scalars(wanted.order_by(Event.id.desc()).limit(limit))
            return [_record(event) for event in events]

    def thinned_events(
        self, job_id: str, event_type: str, most: int, *, after_id: int = 0, having: str = ""
    ) -> list[EventRecord]:
        """Events of a job and type with ids above `after_id`, oldest first: evenly spaced where there are
        more than `most`, the newest among them. With `having` only those whose data have a value there.
        """
        wanted = sa.and_(Event.job_id == job_id, Event.type == event_type, Event.id > after_id)
        if having:
            wanted = sa.and_(wanted, Event.data[having].as_string().is_not(None))
        with self._database.read() as session:
            found = session.scalar(sa.select(sa.func.count()).where(wanted)) or 0
            # Counted from the newest, which is the one that must not be missing.
            from_newest = sa.func.row_number().over(order_by=Event.id.desc()) - 1
            numbered = sa.select(Event.id, from_newest.label("place")).where(wanted).subquery()
            every = max(1, -(-found // most))
            chosen = sa.select(numbered.columns.id).where(numbered.columns.place % every == 0)
            events = session.scalars(sa.select(Event).where(Event.id.in_(chosen)).order_by(Event.id))
            return [_record(event) for event in events]

    def news_of_jobs(
        self, positions: Mapping[str, int], limit: int
    ) -> tuple[list[EventRecord], frozenset[str]]:
        """Of several jobs, each with the id of the last event that is known: the events after it, at most
        `limit` of them, oldest first; and which of the jobs have ended or are gone.

        Each job has a position of its own, because ids grow in the order of commits only within a job:
        after the event with the highest id of all, a lower one of another job may still become visible.
        """
        events: list[EventRecord] = []
        running: set[str] = set()
        with self._database.read() as session:
            for part in batched(positions.items()):
                alive = sa.select(Job.id).where(
                    Job.id.in_([job_id for job_id, _ in part]), Job.state.not_in(TERMINAL_STATES)
                )
                running.update(session.scalars(alive))
                unseen = sa.or_(
                    *(sa.and_(Event.job_id == job_id, Event.id > position) for job_id, position in part)
                )
                newest = session.scalars(sa.select(Event).where(unseen).order_by(Event.id).limit(limit))
                events += map(_record, newest)
        # Each job is in one part, so that cutting the whole at `limit` cuts off the end of its news at most.
        events.sort(key=lambda event: event.id)
        return events[:limit], frozenset(positions) - running


def _record(event: Event) -> EventRecord:
    return EventRecord(event.id, event.job_id, event.type, event.data, event.created_at)
