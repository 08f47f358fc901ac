"""Runners as jobs of a Ray cluster."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import structlog

from services.dispatch.launcher import RunnerExit
from services.dispatch.ray_jobs import RayJob, RayJobs
from services.execution import Ending
from services.exit_codes import EXIT_CODES

LOG_LINES = 30

KEPT = timedelta(days=1)
"""How long the cluster remembers submissions that have ended."""

MOST_FORGOTTEN = 100
"""Submissions that are forgotten with one launch, each a request."""

log = structlog.get_logger(__name__)


class RayJobsLauncher:
    """Submits `entrypoint JOB_ID` through the cluster's Jobs API.

    The submission id begins with the job's id, so that a restarted controller finds the job of its
    predecessor instead of submitting a second one. The cluster's nodes carry their own GTN_NAS_* settings:
    a job's environment is readable for everyone who can open Ray's dashboard, and the database URL holds a
    password.
    """

    def __init__(
        self,
        jobs: RayJobs,
        *,
        prefix: str,
        entrypoint: str,
        environment: Mapping[str, str],
        resources: Mapping[str, float],
    ) -> None:
        """`prefix` names the submissions; without `resources` they run on the head, whatever it has."""
        self._jobs, self._prefix, self._entrypoint = jobs, prefix, entrypoint
        self._environment, self._resources = dict(environment), dict(resources)
        self._submissions: dict[str, str] = {}  # job id -> submission id
        self._waiting: set[str] = set()

    def launch(self, job_id: str) -> None:
        """Submit the runner, or adopt one that is there and alive. Raises ClusterUnavailableError."""
        if job_id in self._submissions:
            return
        prefix = f"{self._prefix}-{job_id}-"
        submitted = self._jobs.list()
        self._forget_old(submitted)
        ours = (job for job in submitted if job.submission_id.startswith(prefix))
        alive = [job.submission_id for job in ours if not job.ended]
        # Ray runs no job under the id of one that ended, not even of one that was deleted.
        self._submissions[job_id] = alive[0] if alive else self._submit(job_id, f"{prefix}{uuid4().hex[:8]}")
        self._waiting.add(job_id)

    def active(self) -> frozenset[str]:
        """The jobs whose submission has not been seen to end."""
        return frozenset(self._submissions)

    def waiting(self) -> frozenset[str]:
        """Those that no node had room for when they were last looked at."""
        return frozenset(self._waiting)

    def reap(self) -> list[RunnerExit]:
        """The submissions that ended since the last call, with the tail of their logs."""
        exits = []
        for job_id, submission_id in list(self._submissions.items()):
            found = self._jobs.get(submission_id)
            if found is not None and not found.waiting:
                self._waiting.discard(job_id)
            if found is None:
                exits.append(RunnerExit(job_id, None, f"the cluster has forgotten job {submission_id}"))
            elif found.ended:
                exits.append(self._exit(job_id, found))
        for ended in exits:
            del self._submissions[ended.job_id]
            self._waiting.discard(ended.job_id)
        return exits

    def end(self, job_id: str) -> None:
        """Stop the submission; Ray kills it when it does not end by itself.

        Ray cannot stop one that has not begun. It is forgotten here: once it begins, it finds that there is
        nothing to do.
        """
        if job_id in self._submissions:
            self._jobs.stop(self._submissions[job_id])
            if job_id in self._waiting:
                self._waiting.discard(job_id)
                del self._submissions[job_id]

    def shutdown(self) -> list[RunnerExit]:
        """Leave the jobs alone: they run on the cluster, under their leases, and outlive the controller."""
        self._submissions.clear()
        self._waiting.clear()
        return []

    def _forget_old(self, submitted: Sequence[RayJob]) -> None:
        """Ray remembers jobs for as long as its head lives, and telling of thousands keeps it busy."""
        youngest = datetime.now(UTC) - KEPT
        old = [
            job.submission_id
            for job in submitted
            if job.submission_id.startswith(f"{self._prefix}-")
            and job.ended_at is not None
            and job.ended_at < youngest
        ]
        for submission_id in old[:MOST_FORGOTTEN]:
            self._jobs.delete(submission_id)

    def _exit(self, job_id: str, job: RayJob) -> RunnerExit:
        if job.never_had_room:  # which is nobody's fault: it is submitted again
            return RunnerExit(job_id, EXIT_CODES[Ending.ABANDONED], job.message)
        tail = self._jobs.logs(job.submission_id).splitlines()[-LOG_LINES:]
        return RunnerExit(job_id, job.exit_code, "\n".join([*tail, job.message]))

    def _submit(self, job_id: str, submission_id: str) -> str:
        self._jobs.submit(
            f"{self._entrypoint} {job_id}",
            submission_id,
            environment=self._environment,
            resources=self._resources,
        )
        log.info("runner submitted", job=job_id, submission=submission_id)
        return submission_id
