"""Jobs that leave the store, with all that is theirs."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.errors import ConflictError
from services.lifecycle import TERMINAL_STATES, Action, JobKind
from services.store.repository import IS_GONE, Repository, find, rows_changed
from services.store.tables import CANDIDATES, EVENTS, Job
from services.store.transitions import transition

PORTION = 2000
"""Rows that are removed in one transaction: on SQLite all other writers wait for its end."""


class DeletionRepository(Repository):
    """What users remove."""

    def delete_job(self, job_id: str) -> None:
        """Remove an ended job with its candidates and events; final trainings of these are cancelled.

        It is gone at once for everybody. What is more than one portion of rows stays behind unseen, for
        `remove_leftovers`: others are to be able to write meanwhile. Raises ConflictError while the job is
        queued, running or paused, NotFoundError when it is gone: of two deletions, the second finds nothing.
        """
        with self._database.write() as session:
            job = find(session, Job, "job", job_id, lock=True)
            if not job.state.terminal:
                raise ConflictError(f"job {job_id!r} is {job.state}; cancel it before deleting it")
            now = self._now(session)
            for training in session.scalars(_trainings_under_way(job_id)):
                transition(session, training, Action.CANCEL, now)
            job.kind = job.lease_owner = job.lease_expires_at = None
            _remove_portion(session, job)

    def remove_leftovers(self) -> bool:
        """Remove a portion of what a deleted job has left; whether there was any."""
        with self._database.read() as session:
            job_id = session.scalars(sa.select(Job.id).where(IS_GONE).limit(1)).first()
        if job_id is None:
            return False
        with self._database.write() as session:
            job = session.get(Job, job_id, with_for_update=True)
            if job is not None:  # else another controller was quicker
                _remove_portion(session, job)
        return True


def _remove_portion(session: Session, job: Job) -> None:
    """With the job itself once that was all of it."""
    if _remove_candidates(session, job.id) < PORTION and _remove_events(session, job.id) < PORTION:
        session.delete(job)


def _remove_candidates(session: Session, search_id: str) -> int:
    """At most PORTION of them."""
    columns = CANDIDATES.columns
    some = sa.select(columns.number).where(columns.search_id == search_id)
    some = some.order_by(columns.number).limit(PORTION)
    these = columns.search_id == search_id, columns.number.in_(some)
    return rows_changed(session, sa.delete(CANDIDATES).where(*these))


def _remove_events(session: Session, job_id: str) -> int:
    """At most PORTION of them."""
    columns = EVENTS.columns
    some = sa.select(columns.id).where(columns.job_id == job_id).limit(PORTION)
    return rows_changed(session, sa.delete(EVENTS).where(columns.id.in_(some)))


def _trainings_under_way(search_id: str) -> sa.Select[Job]:
    """The final trainings of a search's candidates that have not ended; locked."""
    return (
        sa.select(Job)
        .where(
            Job.kind == JobKind.FINAL_TRAINING,
            Job.state.not_in(TERMINAL_STATES),
            Job.subject_id.startswith(f"{search_id}-"),
        )
        .with_for_update()
    )
