"""Events: what happened to a job, append-only, in an order that a reader can resume from."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.store.json_values import check_json
from services.store.records import EventRecord, JsonObject
from services.store.repository import Repository, find
from services.store.tables import Event, Job


def record_event(session: Session, job: Job, event_type: str, data: JsonObject, now: datetime) -> None:
    """Append an event in the caller's transaction, which must hold the lock of the job's row.

    Holding it makes the ids of one job's events grow in the order of their commits: a reader who has
    seen id n will never be shown a smaller one later, so resuming after n skips nothing.
    """
    session.add(Event(job_id=job.id, type=event_type, data=data, created_at=now))


class EventRepository(Repository):
    """Events of jobs."""

    def append_event(self, job_id: str, event_type: str, data: JsonObject) -> None:
        """Append an event of the runner's own. Appends of one job wait for each other.

        Raises NotFoundError when the job is gone, InvalidValueError when `data` is not JSON.
        """
        check_json(data, f"data of event {event_type!r}")
        with self._database.write() as session:
            record_event(session, find(session, Job, "job", job_id, lock=True), event_type, data, self._now())

    def events_after(self, job_id: str, after_id: int = 0, limit: int = 100) -> list[EventRecord]:
        """The events of a job with ids above `after_id`, oldest first; empty for an unknown job."""
        with self._database.read() as session:
            events = session.scalars(
                sa.select(Event)
                .where(Event.job_id == job_id, Event.id > after_id)
                .order_by(Event.id)
                .limit(limit)
            )
            return [
                EventRecord(event.id, event.job_id, event.type, event.data, event.created_at)
                for event in events
            ]
