"""Where search runners run: child processes of this machine, or jobs of a Ray cluster."""

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Protocol

import structlog

from services import processes

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

GRACE_SECONDS = 15.0
"""How long runners may take to put their search back into the queue when the controller ends."""

RUNNER_COMMAND = (sys.executable, "-m", "services.search_runner")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerExit:
    """A runner that ended: its exit code (None where the launcher cannot know it) and the end of its log."""

    search_id: str
    exit_code: int | None
    log_tail: str


class Launcher(Protocol):
    """Starts runners and knows which of those it started are alive.

    It decides nothing: a runner claims its search in the store, so a second runner of the same search ends
    at once and does no harm.
    """

    def launch(self, search_id: str) -> None:
        """Start a runner; a no-op while one is alive."""
        ...

    def active(self) -> frozenset[str]:
        """The searches whose runner, started by this launcher, is alive."""
        ...

    def reap(self) -> list[RunnerExit]:
        """The runners that ended since the last call."""
        ...

    def shutdown(self) -> None:
        """End the runners that would not outlive the controller, within a bounded time."""
        ...


class SubprocessLauncher:
    """Runners as child processes, each in its own session, logging to `log_dir/search-<id>.log`.

    A controller that is killed leaves them running under their leases; its successor does not know them,
    and waits for the leases instead.
    """

    def __init__(
        self, environment: Mapping[str, str], log_dir: Path, command: Sequence[str] = RUNNER_COMMAND
    ) -> None:
        self._environment, self._log_dir, self._command = environment, log_dir, command
        self._runners: dict[str, Popen[bytes]] = {}
        self._lock = threading.Lock()  # the dispatcher's thread launches, the server's thread shuts down
        self._closed = False

    def launch(self, search_id: str) -> None:
        """Start the command with the search's id at its end."""
        with self._lock:
            if self._closed or search_id in self._runners:
                return
            self._runners[search_id] = processes.start(
                [*self._command, search_id],
                environment=self._environment,
                log_path=self.log_path(search_id),
            )
        log.info("runner started", search=search_id, pid=self._runners[search_id].pid)

    def active(self) -> frozenset[str]:
        """The searches whose runner is alive or not yet reaped."""
        with self._lock:
            return frozenset(self._runners)

    def reap(self) -> list[RunnerExit]:
        """The runners that ended since the last call, with the tail of their logs."""
        with self._lock:
            ended = [search_id for search_id, runner in self._runners.items() if runner.poll() is not None]
            exits = []
            for search_id in ended:
                runner = self._runners.pop(search_id)
                processes.kill_group(runner)
                tail = processes.log_tail(self.log_path(search_id))
                exits.append(RunnerExit(search_id, runner.returncode, tail))
        return exits

    def shutdown(self) -> None:
        """End all runners; each puts its search back into the queue. Nothing is launched afterwards."""
        with self._lock:
            self._closed = True
            processes.stop(self._runners.values(), grace_seconds=GRACE_SECONDS)
            self._runners.clear()

    def log_path(self, search_id: str) -> Path:
        """Where the runners of a search log, one after the other."""
        return self._log_dir / f"search-{search_id}.log"


class RayJobsLauncher:
    """Runners as jobs of a Ray cluster, through its Jobs API.

    The submission id begins with the search's id, so that a restarted controller finds the job of its
    predecessor instead of submitting a second one. The cluster's nodes carry their own GTN_NAS_* settings:
    a job's environment is readable for everyone who can open Ray's dashboard, and the database URL holds a
    password.
    """

    def __init__(self, ray_jobs_url: str, entrypoint: str = "python -m services.search_runner") -> None:
        self._url, self._entrypoint = ray_jobs_url, entrypoint
        self._jobs: dict[str, str] = {}  # search id -> submission id

    def launch(self, search_id: str) -> None:
        """Submit the runner, or adopt one that is there and alive."""
        if search_id in self._jobs:
            return
        prefix = f"search-{search_id}-"
        earlier = [job for job in self._client.list_jobs() if (job.submission_id or "").startswith(prefix)]
        alive = [job.submission_id for job in earlier if job.submission_id and not job.status.is_terminal()]
        # Ray does not run a job under the id of one that ended, not even of one that was deleted.
        self._jobs[search_id] = alive[0] if alive else self._submit(search_id, f"{prefix}{len(earlier) + 1}")

    def active(self) -> frozenset[str]:
        """The searches whose job has not been seen to end."""
        return frozenset(self._jobs)

    def reap(self) -> list[RunnerExit]:
        """The jobs that ended since the last call, with the tail of their logs."""
        exits = []
        for search_id, submission_id in list(self._jobs.items()):
            try:
                details = self._client.get_job_info(submission_id)
                if not details.status.is_terminal():
                    continue
                logs = self._client.get_job_logs(submission_id)
            except RuntimeError as error:
                if "status code 404" not in str(error):
                    raise
                # The head was restarted and has forgotten the job.
                exits.append(RunnerExit(search_id, None, str(error)))
            else:
                tail = "\n".join([*logs.splitlines()[-30:], details.message or ""])
                exits.append(RunnerExit(search_id, details.driver_exit_code, tail))
            del self._jobs[search_id]
        return exits

    def shutdown(self) -> None:
        """Leave the jobs alone: they run on the cluster, under their leases, and outlive the controller."""
        self._jobs.clear()

    @cached_property
    def _client(self) -> "JobSubmissionClient":
        """Made when it is first needed: it asks the cluster's head, which may be down, or start later.

        Imported here, since importing Ray takes half a second, and most controllers have no cluster.
        """
        from ray.job_submission import JobSubmissionClient

        return JobSubmissionClient(self._url)

    def _submit(self, search_id: str, submission_id: str) -> str:
        self._client.submit_job(
            entrypoint=f"{self._entrypoint} {search_id}",
            submission_id=submission_id,
            runtime_env={"env_vars": {"GTN_NAS_RAY_ADDRESS": "auto"}},
        )
        log.info("runner submitted", search=search_id, submission=submission_id)
        return submission_id
