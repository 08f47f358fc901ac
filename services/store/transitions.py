"""How a job's row moves through its life cycle, inside a transaction that has locked it."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.lifecycle import Action, CandidateState, JobState, next_state
from services.store.events import record_event
from services.store.records import EventType, JobRecord, JsonObject
from services.store.tables import CANDIDATES, Job


def transition(session: Session, job: Job, action: Action, now: datetime, **more: Any) -> None:
    """Move the job through its life cycle, with its times and its event; a no-op leaves no trace.

    The event's data tell `more`. Raises IllegalTransitionError, having changed nothing.
    """
    before, state = job.state, next_state(job.state, action)
    if state is before:
        return
    job.state, job.waiting_for = state, None
    if before.terminal:
        _begin_again(session, job)
    if state is JobState.RUNNING and job.started_at is None:
        job.started_at = now
    if state.terminal:
        job.finished_at = now
    data: JsonObject = {"state": state, "action": action, **more}
    record_event(session, job, EventType.STATE, data | ({"error": job.error} if job.error else {}), now)
    _settle(session, job, now)


def _begin_again(session: Session, job: Job) -> None:
    """What its end cut off, as when time ran out, is taken up first."""
    job.attempts = 0
    job.result = job.error = job.finished_at = None
    columns = CANDIDATES.columns
    cut_off = columns.search_id == job.id, columns.state == CandidateState.CANCELLED
    again = sa.update(CANDIDATES).where(*cut_off).values(state=CandidateState.RUNNING, finished_at=None)
    session.execute(again)


def drop_lease(session: Session, job: Job, now: datetime) -> None:
    """Make the job free to be claimed."""
    job.lease_owner = job.lease_expires_at = None
    _settle(session, job, now)


def _settle(session: Session, job: Job, now: datetime) -> None:
    # Nobody finishes what is in flight of a job that was cancelled, or has ended and has no runner. That of a
    # cancelled one may take a while to let go; it finds the candidates ended, and leaves them so.
    if job.state is JobState.CANCELLED or (job.state.terminal and job.lease_owner is None):
        columns = CANDIDATES.columns
        running = columns.search_id == job.id, columns.state == CandidateState.RUNNING
        cancel = sa.update(CANDIDATES).where(*running).values(state=CandidateState.CANCELLED, finished_at=now)
        session.execute(cancel)


def job_record(job: Job | sa.Row[Any]) -> JobRecord:
    """The row as a record."""
    values: dict[str, Any] = {name: getattr(job, name) for name in JobRecord.__dataclass_fields__}
    return JobRecord(**values)
