"""What is read across jobs and candidates: counts for the metrics, and the latest job about each subject."""

from collections.abc import Sequence

import sqlalchemy as sa

from services.lifecycle import JobKind, JobState
from services.store.engine import Database
from services.store.records import JobRecord
from services.store.repository import Repository
from services.store.tables import Job
from services.store.tallies import CandidateTotals, Tallies
from services.store.transitions import job_record


class SummaryRepository(Repository):
    """Readers only."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._tallies = Tallies()

    def latest_jobs_of(
        self, kind: JobKind, subject_ids: Sequence[str], *, state: JobState | None = None
    ) -> dict[str, JobRecord]:
        """For each subject that has jobs of this kind (in this state), the newest of them."""
        subjects = [subject_id for subject_id in subject_ids if "\0" not in subject_id]
        if not subjects:
            return {}
        jobs = sa.select(Job).where(Job.kind == kind, Job.subject_id.in_(subjects))
        if state is not None:
            jobs = jobs.where(Job.state == state)
        with self._database.read() as session:
            oldest_first = session.scalars(jobs.order_by(Job.created_at, Job.id))
            return {job.subject_id: job_record(job) for job in oldest_first if job.subject_id is not None}

    def count_waiting_jobs(self) -> dict[JobKind, int]:
        """How many jobs of each kind do not get on, for a reason that they tell; absent kinds have none."""
        waiting = sa.select(Job.kind, sa.func.count()).where(Job.waiting_for.is_not(None)).group_by(Job.kind)
        with self._database.read() as session:
            return {kind: count for kind, count in session.execute(waiting) if kind is not None}

    def count_lease_losses(self) -> dict[JobKind, int]:
        """How often the runners of the jobs of each kind fell silent; absent kinds have no job."""
        with self._database.read() as session:
            losses = session.execute(sa.select(Job.kind, sa.func.sum(Job.lease_losses)).group_by(Job.kind))
            return {kind: int(count) for kind, count in losses if kind is not None}

    def candidate_totals(self) -> CandidateTotals:
        """How many candidates are in each state, failed ones by their reason, and how long scoring took."""
        with self._database.read() as session:
            return self._tallies.totals(session)
