"""Jobs that leave the store, with all that is theirs."""

import time

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.errors import ConflictError
from services.lifecycle import TERMINAL_STATES, Action, JobKind
from services.store.repository import Repository, find, rows_changed
from services.store.tables import CANDIDATES, EVENTS, Job
from services.store.transitions import transition

PORTION = 2000
"""Rows that are removed in one transaction: on SQLite all other writers wait for its end."""

PAUSE_SECONDS = 0.12
"""Between two: a writer that waits for SQLite's lock looks for it every tenth of a second."""


class DeletionRepository(Repository):
    """What users remove."""

    def delete_job(self, job_id: str) -> None:
        """Remove an ended job with its candidates and events; final trainings of these are cancelled.

        Of a large search they go in several transactions, so that others are not kept from writing, the job
        itself in the last: a deletion that is cut off leaves a search with fewer candidates, to be deleted
        again. Raises ConflictError while the job is queued, running or paused (also if it was resumed just
        before), NotFoundError when it is gone: of two deletions, the second finds nothing.
        """
        while not self._delete_portion(job_id):
            time.sleep(PAUSE_SECONDS)

    def _delete_portion(self, job_id: str) -> bool:
        """Whether that was all of it."""
        with self._database.write() as session:
            job = find(session, Job, "job", job_id, lock=True)
            if not job.state.terminal:
                raise ConflictError(f"job {job_id!r} is {job.state}; cancel it before deleting it")
            now = self._now(session)
            for training in session.scalars(_trainings_under_way(job_id)):
                transition(session, training, Action.CANCEL, now)
            if _delete_candidates(session, job_id) == PORTION or _delete_events(session, job_id) == PORTION:
                return False
            session.delete(job)
            return True


def _delete_candidates(session: Session, search_id: str) -> int:
    """At most PORTION of them, the last ones first: what may be left is a beginning."""
    columns = CANDIDATES.columns
    last = sa.select(columns.number).where(columns.search_id == search_id)
    last = last.order_by(columns.number.desc()).limit(PORTION)
    these = columns.search_id == search_id, columns.number.in_(last)
    return rows_changed(session, sa.delete(CANDIDATES).where(*these))


def _delete_events(session: Session, job_id: str) -> int:
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
