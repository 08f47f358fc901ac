"""Jobs as their runners see them: claim, keep alive, finish or give back.

A lease is the name of its owner and the time until which nobody else may take the job. `owner` must be
unique to one process run: it is what fences off a runner that was believed dead and comes back.
"""

import math
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from time import monotonic

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from services.lifecycle import LONGEST_LEASE_SECONDS, Action, JobKind, JobState
from services.store.events import record_event
from services.store.extensions import LIMITS
from services.store.json_values import check_json
from services.store.records import EventType, JobRecord, JsonObject
from services.store.repository import Repository, leased_job
from services.store.schema import require_revision
from services.store.tables import Job
from services.store.transitions import drop_lease, job_record, transition


class LeaseRepository(Repository):
    """The runners' side of jobs."""

    def claim(
        self, kind: JobKind, owner: str, lease_seconds: float, *, job_id: str | None = None
    ) -> JobRecord | None:
        """Take the queued job of a kind whose turn it is, or the one named, and make it running.

        Of several claimants exactly one gets a job; the others get the next one, or None. A job whose
        former runner still holds its lease (it was paused and resumed) cannot be claimed until that
        runner lets go or its lease runs out.
        Raises SchemaMismatchError for a process that has outlived an upgrade of the database.
        """
        with self._database.write() as session:
            require_revision(session, self._database)
            now = self._now(session)
            queued = _queued_in_turn([kind], now)
            if job_id is not None:
                queued = queued.where(Job.id == job_id)
            job = session.scalars(queued.limit(1).with_for_update(skip_locked=True)).one_or_none()
            if job is None:
                return None
            job.lease_owner, job.lease_expires_at = owner, now + timedelta(seconds=lease_seconds)
            job.attempts += 1
            transition(session, job, Action.CLAIM, now)
            return job_record(job)

    def next_queued(self, kinds: Collection[JobKind], starting: Collection[str] = ()) -> JobRecord | None:
        """The queued job whose turn it is, without those in `starting`, which count as running already.

        Higher priority comes first; of equal ones the job of the API key with the fewest running jobs of
        its kind, and of those the oldest. Callers without a key of their own share as one.
        """
        with self._database.read() as session:
            queued = _queued_in_turn(kinds, self._now(session), starting).where(Job.id.not_in(starting))
            job = session.scalars(queued.limit(1)).one_or_none()
            return None if job is None else job_record(job)

    def heartbeat(
        self, job_id: str, owner: str, lease_seconds: float, *, progress_done: int | None = None
    ) -> JobState:
        """Renew the lease, and report progress if it is told. One that had run out leaves an event of it.

        Answers the job's present state: anything but running means that the runner should stop and
        release the job. Raises LeaseLostError, having written nothing, when the lease was taken over,
        given back, or the job deleted.
        """
        with self._database.write() as session:
            now = self._now(session)
            job = leased_job(session, job_id, owner)
            if job.lease_expires_at is not None and job.lease_expires_at < now:
                silence = now - job.lease_expires_at
                record_event(session, job, EventType.SUSPENDED, {"seconds": silence.total_seconds()}, now)
            job.lease_expires_at = now + timedelta(seconds=lease_seconds)
            if progress_done is not None and progress_done > job.progress_done:
                # Real progress clears the count of runners that died without getting anywhere.
                job.progress_done, job.attempts = progress_done, 1
                progress = {"done": job.progress_done, "total": job.progress_total}
                record_event(session, job, EventType.PROGRESS, progress, now)
            return job.state

    def finish(
        self,
        job_id: str,
        owner: str,
        *,
        result: JsonObject | None = None,
        error: JsonObject | None = None,
        request: JsonObject | None = None,
    ) -> JobRecord:
        """End the job, failed if there is an error and succeeded otherwise, and drop the lease.

        A job that was meanwhile cancelled or paused keeps that state, and neither result nor error.
        `request` is what the caller has fulfilled: a search that was extended meanwhile asks for more, and
        is queued again instead of succeeding. Another name or priority asks for nothing.
        Raises LeaseLostError, having written nothing, when the lease is not the caller's, which is
        also what a second call gets.
        """
        check_json(result, "result")
        check_json(error, "error")
        with self._database.write() as session:
            now = self._now(session)
            job = leased_job(session, job_id, owner)
            drop_lease(session, job, now)
            if job.state is JobState.RUNNING and error is None and _asks_for_more(job, request):
                job.attempts = 0
                transition(session, job, Action.RELEASE, now)
            elif job.state is JobState.RUNNING:
                job.result, job.error = result, error
                transition(session, job, Action.SUCCEED if error is None else Action.FAIL, now)
            return job_record(job)

    def set_waiting(self, job_id: str, owner: str | None, waiting_for: str | None) -> None:
        """Say why the job does not get on, or that it does; a repetition leaves no second event.

        Without an owner, of a job that nobody holds.
        Raises LeaseLostError, having written nothing, when the lease is not the caller's.
        """
        with self._database.write() as session:
            now = self._now(session)
            _wait(session, leased_job(session, job_id, owner), waiting_for, now)

    def excuse(self, job_id: str, owner: str, waiting_for: str) -> None:
        """Count this attempt as none, since something that the job waits for is away.

        The lease stays: it is the pause before the next attempt.
        Raises LeaseLostError, having written nothing, when the lease is not the caller's.
        """
        with self._database.write() as session:
            now = self._now(session)
            job = leased_job(session, job_id, owner)
            job.attempts = max(0, job.attempts - 1)
            _wait(session, job, waiting_for, now)

    def release(self, job_id: str, owner: str) -> JobRecord:
        """Give the job back: a running one is queued again, any other keeps its state.

        Evaluations in flight stay as they are, for the next runner to repeat, unless the job has ended.
        Raises LeaseLostError, having written nothing, when the lease is not the caller's.
        """
        with self._database.write() as session:
            now = self._now(session)
            job = leased_job(session, job_id, owner)
            job.attempts = max(0, job.attempts - 1)
            drop_lease(session, job, now)
            transition(session, job, Action.RELEASE, now)
            return job_record(job)

    def requeue_expired(self, patience: float = math.inf) -> list[JobRecord]:
        """Take back the jobs whose runners fell silent; those that were running are queued and returned.

        None while the database takes longer than `patience` to begin: it stood still, and what runners had
        to say stands in line with us. A heartbeat that comes at the same time either renews the lease first,
        and the job is left alone, or comes second and raises LeaseLostError in its runner. Rows locked by
        another transaction are passed over until the next call.
        """
        asked_at = monotonic()
        with self._database.write() as session:
            now = self._now(session)
            if monotonic() - asked_at > patience:
                return []
            expired = sa.select(Job).where(_has_run_out(now))
            rows = session.scalars(expired.with_for_update(skip_locked=True)).all()
            return [job_record(job) for job in rows if _take_back(session, job, now)]

    def requeue_dead(
        self, owner_prefix: str, job_id: str | None = None, *, on_purpose: bool = False
    ) -> list[JobRecord]:
        """Take back what runners that are known to be dead hold, without waiting for leases to run out.

        With a `job_id` that job alone. Those that were running are queued and returned. The attempts of
        runners that were ended `on_purpose` count as none.
        """
        held = sa.select(Job).where(
            Job.lease_expires_at.is_not(None), Job.lease_owner.startswith(owner_prefix, autoescape=True)
        )
        if job_id is not None:
            held = held.where(Job.id == job_id)
        with self._database.write() as session:
            now = self._now(session)
            rows = session.scalars(held.with_for_update()).all()
            if on_purpose:
                for job in rows:
                    job.attempts = max(0, job.attempts - 1)
            return [job_record(job) for job in rows if _take_back(session, job, now)]


def _queued_in_turn(
    kinds: Collection[JobKind], now: datetime, starting: Collection[str] = ()
) -> sa.Select[Job]:
    """The queued jobs of these kinds that nobody holds, in the order in which they should start."""
    free = sa.or_(Job.lease_expires_at.is_(None), _has_run_out(now))
    running_of_key = _count_of_key(lambda other: other.state == JobState.RUNNING)
    if starting:  # counted apart: with an OR, SQLite would look at all jobs of the kind for each that waits
        running_of_key += _count_of_key(
            lambda other: sa.and_(other.id.in_(starting), other.state != JobState.RUNNING)
        )
    return (
        sa.select(Job)
        .where(Job.kind.in_(kinds), Job.state == JobState.QUEUED, free)
        .order_by(Job.priority.desc(), running_of_key, Job.created_at, Job.id)
    )


def _count_of_key(which: Callable[[type[Job]], sa.ColumnElement[bool]]) -> sa.ColumnElement[int]:
    """How many of these jobs are of the kind and the API key of the job beside."""
    other = aliased(Job)
    alike = other.kind == Job.kind, other.owner_key_id.is_not_distinct_from(Job.owner_key_id)
    return sa.select(sa.func.count()).select_from(other).where(*alike, which(other)).scalar_subquery()


def _has_run_out(now: datetime) -> sa.ColumnElement[bool]:
    longest = now + timedelta(seconds=LONGEST_LEASE_SECONDS)
    return sa.or_(Job.lease_expires_at <= now, Job.lease_expires_at > longest)


def _asks_for_more(job: Job, fulfilled: JsonObject | None) -> bool:
    """Whether a job's limits are others than those that were fulfilled; name and priority may be."""
    return fulfilled is not None and any(job.request.get(key) != fulfilled.get(key) for key in LIMITS)


def _wait(session: Session, job: Job, waiting_for: str | None, now: datetime) -> None:
    # One that was paused or has ended waits for nothing, which its runner may not have heard yet.
    if job.state in {JobState.QUEUED, JobState.RUNNING} and job.waiting_for != waiting_for:
        job.waiting_for = waiting_for
        record_event(session, job, EventType.WAITING, {"waiting_for": waiting_for}, now)


def _take_back(session: Session, job: Job, now: datetime) -> bool:
    """Free a silent or dead runner's job; whether it was running, and is queued now."""
    was_running = job.state is JobState.RUNNING
    job.lease_losses += was_running
    # Nobody may have looked for hours: what was off meanwhile did no work.
    held_until = min(now, job.lease_expires_at or now)
    drop_lease(session, job, now)
    transition(session, job, Action.RELEASE, now, held_until=held_until.isoformat())
    return was_running
