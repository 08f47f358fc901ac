"""Jobs as their runners see them: claim, keep alive, finish or give back.

A lease is the name of its owner and the time until which nobody else may take the job. `owner` must be
unique to one process run: it is what fences off a runner that was believed dead and comes back.
"""

from datetime import timedelta

import sqlalchemy as sa

from services.lifecycle import Action, JobKind, JobState
from services.store.events import record_event
from services.store.json_values import check_json
from services.store.records import EventType, JobRecord, JsonObject
from services.store.repository import Repository
from services.store.tables import Job
from services.store.transitions import drop_lease, job_record, leased_job, transition


class LeaseRepository(Repository):
    """The runners' side of jobs."""

    def claim(
        self, kind: JobKind, owner: str, lease_seconds: float, *, job_id: str | None = None
    ) -> JobRecord | None:
        """Take the oldest queued job of a kind, or the one named, and make it running.

        Of several claimants exactly one gets a job; the others get the next one, or None. A job whose
        former runner still holds its lease (it was paused and resumed) cannot be claimed until that
        runner lets go or its lease runs out.
        """
        now = self._now()
        free = sa.or_(Job.lease_expires_at.is_(None), Job.lease_expires_at <= now)
        queued = sa.select(Job).where(Job.kind == kind, Job.state == JobState.QUEUED, free)
        if job_id is not None:
            queued = queued.where(Job.id == job_id)
        oldest = queued.order_by(Job.created_at, Job.id).limit(1).with_for_update(skip_locked=True)
        with self._database.write() as session:
            job = session.scalars(oldest).one_or_none()
            if job is None:
                return None
            job.lease_owner, job.lease_expires_at = owner, now + timedelta(seconds=lease_seconds)
            job.attempts += 1
            transition(session, job, Action.CLAIM, now)
            return job_record(job)

    def heartbeat(
        self, job_id: str, owner: str, lease_seconds: float, *, progress_done: int | None = None
    ) -> JobState:
        """Renew the lease, and report progress if it is told.

        Answers the job's present state: anything but running means that the runner should stop and
        release the job. Raises LeaseLostError, having written nothing, when the lease was taken over,
        given back, or the job deleted.
        """
        now = self._now()
        with self._database.write() as session:
            job = leased_job(session, job_id, owner)
            job.lease_expires_at = now + timedelta(seconds=lease_seconds)
            if progress_done is not None and progress_done > job.progress_done:
                advance(job, progress_done)
                progress = {"done": job.progress_done, "total": job.progress_total}
                record_event(session, job, EventType.PROGRESS, progress, now)
            return job.state

    def finish(
        self, job_id: str, owner: str, *, result: JsonObject | None = None, error: JsonObject | None = None
    ) -> JobRecord:
        """End the job, failed if there is an error and succeeded otherwise, and drop the lease.

        A job that was meanwhile cancelled or paused keeps that state, and neither result nor error.
        Raises LeaseLostError, having written nothing, when the lease is not the caller's, which is
        also what a second call gets.
        """
        check_json(result, "result")
        check_json(error, "error")
        now = self._now()
        with self._database.write() as session:
            job = leased_job(session, job_id, owner)
            drop_lease(session, job, now)
            if job.state is JobState.RUNNING:
                job.result, job.error = result, error
                transition(session, job, Action.SUCCEED if error is None else Action.FAIL, now)
            return job_record(job)

    def release(self, job_id: str, owner: str) -> JobRecord:
        """Give the job back: a running one is queued again, any other keeps its state.

        Evaluations in flight stay as they are, for the next runner to repeat, unless the job has ended.
        Raises LeaseLostError, having written nothing, when the lease is not the caller's.
        """
        now = self._now()
        with self._database.write() as session:
            job = leased_job(session, job_id, owner)
            job.attempts = max(0, job.attempts - 1)
            drop_lease(session, job, now)
            transition(session, job, Action.RELEASE, now)
            return job_record(job)

    def requeue_expired(self) -> list[JobRecord]:
        """Take back the jobs whose runners fell silent; those that were running are queued and returned.

        A heartbeat that comes at the same time either renews the lease first, and the job is left
        alone, or comes second and raises LeaseLostError in its runner. Rows locked by another
        transaction are passed over until the next call.
        """
        now = self._now()
        expired = sa.select(Job).where(Job.lease_expires_at <= now).with_for_update(skip_locked=True)
        requeued = []
        with self._database.write() as session:
            for job in session.scalars(expired).all():
                was_running = job.state is JobState.RUNNING
                drop_lease(session, job, now)
                transition(session, job, Action.RELEASE, now)
                if was_running:
                    requeued.append(job_record(job))
        return requeued


def advance(job: Job, progress_done: int) -> None:
    """Move the progress forward, never back: who repeats lost work makes none until it is made up for.

    Real progress clears the count of runners that died without getting anywhere.
    """
    if progress_done > job.progress_done:
        job.progress_done, job.attempts = progress_done, 1
