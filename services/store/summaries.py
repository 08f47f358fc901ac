"""What is read across jobs and candidates: counts for the metrics, and the latest job about each subject."""

from collections.abc import Sequence

import sqlalchemy as sa

from services.lifecycle import CandidateState, JobKind, JobState
from services.store.records import JobRecord
from services.store.repository import Repository
from services.store.tables import Candidate, Job
from services.store.transitions import job_record


class SummaryRepository(Repository):
    """Readers only."""

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

    def count_lease_losses(self) -> dict[JobKind, int]:
        """How often the runners of the jobs of each kind fell silent; absent kinds have no job."""
        with self._database.read() as session:
            losses = session.execute(sa.select(Job.kind, sa.func.sum(Job.lease_losses)).group_by(Job.kind))
            return {kind: int(count) for kind, count in losses}

    def candidate_seconds(self, bounds: Sequence[float]) -> tuple[list[int], float]:
        """How many evaluations took at most as long as each bound, then how many there are; and their sum."""
        seconds = Candidate.seconds
        below = [sa.func.count().filter(seconds <= bound) for bound in bounds]
        query = sa.select(*below, sa.func.count(), sa.func.coalesce(sa.func.sum(seconds), 0.0))
        with self._database.read() as session:
            *counts, total = session.execute(query.where(seconds.is_not(None))).one()
            return [int(count) for count in counts], float(total)

    def count_candidates(self) -> dict[tuple[CandidateState, str | None], int]:
        """How many candidates are in each state, failed ones by their reason; absent pairs are zero."""
        reason = Candidate.error["reason"].as_string()
        counts = sa.select(Candidate.state, reason, sa.func.count()).group_by(Candidate.state, reason)
        with self._database.read() as session:
            return {(state, why): count for state, why, count in session.execute(counts)}
