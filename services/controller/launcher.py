"""Where search runners run: child processes of this machine, or jobs of a Ray cluster."""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Protocol

import structlog

from services import processes
from services.controller import runner_locks

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

GRACE_SECONDS = 15.0
"""How long runners may take to put their search back into the queue when the controller ends."""

RUNNER_COMMAND = (sys.executable, "-m", "services.search_runner")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerExit:
    """A runner that ended: its exit code and process id, None where the launcher cannot know them."""

    search_id: str
    exit_code: int | None
    log_tail: str
    pid: int | None = None  # on this machine


class Launcher(Protocol):
    """Starts runners and knows which of those it started are alive.

    It decides nothing: a runner claims its search in the store, so a second runner of the same search ends
    at once and does no harm.
    """

    def launch(self, search_id: str) -> None:
        """Start a runner; a no-op while one is alive."""
        ...

    def active(self) -> frozenset[str]:
        """The searches whose runner, started or adopted by this launcher, is alive."""
        ...

    def reap(self) -> list[RunnerExit]:
        """The runners that ended since the last call."""
        ...

    def end(self, search_id: str) -> None:
        """End a runner at once, without its consent; a no-op when none is alive."""
        ...

    def shutdown(self) -> None:
        """End the runners that would not outlive the controller, within a bounded time."""
        ...


class SubprocessLauncher:
    """Runners as child processes, each in its own session, logging to `log_dir/search-<id>.log`.

    A controller that is killed leaves them running under their leases. Its successor finds them by their
    locks and adopts them: it waits for their end, ends them when they have no business, and at its own end.
    """

    def __init__(
        self, environment: Mapping[str, str], log_dir: Path, command: Sequence[str] = RUNNER_COMMAND
    ) -> None:
        self._environment, self._log_dir, self._command = environment, log_dir, command
        self._runners: dict[str, Popen[bytes]] = {}
        self._orphans: dict[str, int] = {}  # search id -> process id
        self._lock = threading.Lock()  # the dispatcher's thread launches, the server's thread shuts down
        self._closed = False

    def launch(self, search_id: str) -> None:
        """Start the command with the search's id at its end; a no-op while any runner of it lives here."""
        with self._lock:
            if self._closed or search_id in self._runners:
                return
            held = runner_locks.acquire(self._lock_path(search_id))
            if held is None:
                return
            try:
                self._runners[search_id] = processes.start(
                    [*self._command, search_id],
                    environment=self._environment,
                    log_path=self.log_path(search_id),
                    pass_fds=[held],
                )
            finally:
                os.close(held)  # the runner has it now
        log.info("runner started", search=search_id, pid=self._runners[search_id].pid)

    def active(self) -> frozenset[str]:
        """The searches whose runner is alive or not yet reaped."""
        with self._lock:
            return frozenset(self._runners) | frozenset(self._orphans)

    def reap(self) -> list[RunnerExit]:
        """The runners that ended since the last call, with the tail of their logs; orphans are adopted."""
        with self._lock:
            exits = [
                self._reaped(search_id, runner)
                for search_id, runner in list(self._runners.items())
                if runner.poll() is not None
            ]
            exits += [
                RunnerExit(search_id, None, self._log_tail(search_id), self._orphans.pop(search_id))
                for search_id in list(self._orphans)
                if runner_locks.discard(self._lock_path(search_id))
            ]
            self._adopt()
        return exits

    def end(self, search_id: str) -> None:
        """SIGKILL to the search's runner; the next `reap` tells of it."""
        with self._lock:
            if search_id in self._runners:
                processes.kill_group(self._runners[search_id].pid)
            elif search_id in self._orphans:
                self._kill_orphan(search_id)

    def shutdown(self) -> None:
        """End all runners; each puts its search back into the queue. Nothing is launched afterwards."""
        with self._lock:
            self._closed = True
            for pid in self._orphans.values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + GRACE_SECONDS
            processes.stop(self._runners.values(), grace_seconds=GRACE_SECONDS)
            for search_id in self._runners:
                runner_locks.discard(self._lock_path(search_id))
            for search_id in self._orphans:
                while not runner_locks.discard(self._lock_path(search_id)):
                    if time.monotonic() >= deadline:
                        self._kill_orphan(search_id)
                    time.sleep(0.05)
            self._runners.clear()
            self._orphans.clear()

    def log_path(self, search_id: str) -> Path:
        """Where the runners of a search log, one after the other."""
        return self._log_dir / f"search-{search_id}.log"

    def _reaped(self, search_id: str, runner: Popen[bytes]) -> RunnerExit:
        del self._runners[search_id]
        processes.kill_group(runner.pid)
        runner_locks.discard(self._lock_path(search_id))
        return RunnerExit(search_id, runner.returncode, self._log_tail(search_id), runner.pid)

    def _adopt(self) -> None:
        """Take in the runners of controllers that are gone, and clear away the locks of runners that are."""
        for path in self._lock_path("*").parent.glob("*.lock"):
            search_id = path.stem
            known = search_id in self._runners or search_id in self._orphans
            if known or runner_locks.discard(path) or runner_locks.controller_lives(path):
                continue
            pid = runner_locks.holder(path)
            if pid is not None:
                self._orphans[search_id] = pid
                log.info("runner adopted", search=search_id, pid=pid)

    def _kill_orphan(self, search_id: str) -> None:
        # Looked up again: the number of one that died meanwhile may be a stranger's by now.
        pid = runner_locks.holder(self._lock_path(search_id))
        if pid is not None:
            processes.kill_group(pid)

    def _log_tail(self, search_id: str) -> str:
        return processes.log_tail(self.log_path(search_id))

    def _lock_path(self, search_id: str) -> Path:
        return self._log_dir / "runners" / f"{search_id}.lock"


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

    def end(self, search_id: str) -> None:
        """Stop the job; Ray kills it when it does not end by itself."""
        if search_id in self._jobs:
            self._client.stop_job(self._jobs[search_id])

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
