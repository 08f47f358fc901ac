"""Where runners run. Here: as child processes of this machine; `ray_jobs_launcher` has the other way."""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Protocol

import structlog

from services import processes
from services.dispatch import runner_locks

GRACE_SECONDS = 15.0
"""How long runners may take to put their search back into the queue when the controller ends."""

RUNNER_COMMAND = (sys.executable, "-P", "-m", "services.search_runner")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerExit:
    """A runner that ended: its exit code and process id, None where the launcher cannot know them."""

    job_id: str
    exit_code: int | None
    log_tail: str
    pid: int | None = None  # on this machine


class Launcher(Protocol):
    """Starts runners and knows which of those it started are alive.

    It decides nothing: a runner claims its job in the store, so a second runner of the same job ends at once
    and does no harm.
    """

    def launch(self, job_id: str) -> None:
        """Start a runner; a no-op while one is alive."""
        ...

    def active(self) -> frozenset[str]:
        """The jobs whose runner, started or adopted by this launcher, is alive."""
        ...

    def waiting(self) -> frozenset[str]:
        """Those of them whose runner has not begun: the cluster has no room for it yet."""
        ...

    def reap(self) -> list[RunnerExit]:
        """The runners that ended since the last call."""
        ...

    def end(self, job_id: str) -> None:
        """End a runner at once, without its consent; a no-op when none is alive."""
        ...

    def shutdown(self) -> list[RunnerExit]:
        """End the runners that would not outlive the controller, within a bounded time; tells of them."""
        ...


class SubprocessLauncher:
    """Runners as child processes, each in its own session, logging to `log_dir/search-<id>.log`.

    A controller that is killed leaves them running under their leases. Its successor finds them by their
    locks and adopts them: it waits for their end, ends them when they have no business, and at its own end.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        log_dir: Path,
        command: Sequence[str] = RUNNER_COMMAND,
        *,
        database_id: str = "",
    ) -> None:
        """Runners of another database that log to the same folder are left to its own controllers."""
        self._environment, self._log_dir, self._command = environment, log_dir, command
        self._lock_dir = log_dir / "runners" / database_id
        self._runners: dict[str, Popen[bytes]] = {}
        self._orphans: dict[str, int] = {}  # job id -> process id
        self._log_starts: dict[str, int] = {}  # where the log of a search's latest runner begins
        self._lock = threading.Lock()  # the dispatcher's thread launches, the server's thread shuts down
        self._closed = False

    def launch(self, job_id: str) -> None:
        """Start the command with the job's id at its end; a no-op while any runner of it lives here."""
        with self._lock:
            if self._closed or job_id in self._runners:
                return
            held = runner_locks.acquire(self._lock_path(job_id))
            if held is None:
                return
            self._log_starts[job_id] = processes.log_size(self.log_path(job_id))
            try:
                self._runners[job_id] = processes.start(
                    [*self._command, job_id],
                    environment=self._environment,
                    log_path=self.log_path(job_id),
                    pass_fds=[held],
                )
            finally:
                os.close(held)  # the runner has it now
        log.info("runner started", search=job_id, pid=self._runners[job_id].pid)

    def active(self) -> frozenset[str]:
        """The searches whose runner is alive or not yet reaped."""
        with self._lock:
            return frozenset(self._runners) | frozenset(self._orphans)

    def waiting(self) -> frozenset[str]:
        """None: a child process begins at once."""
        return frozenset()

    def reap(self) -> list[RunnerExit]:
        """The runners that ended since the last call, with the tail of their logs; orphans are adopted."""
        with self._lock:
            exits = [
                self._reaped(job_id, runner)
                for job_id, runner in list(self._runners.items())
                if runner.poll() is not None
            ]
            exits += [
                RunnerExit(job_id, None, self._log_tail(job_id), self._orphans.pop(job_id))
                for job_id in list(self._orphans)
                if runner_locks.discard(self._lock_path(job_id))
            ]
            self._adopt()
        return exits

    def end(self, job_id: str) -> None:
        """SIGKILL to the search's runner; the next `reap` tells of it."""
        with self._lock:
            if job_id in self._runners:
                processes.kill_group(self._runners[job_id].pid)
            elif job_id in self._orphans:
                self._kill_orphan(job_id)

    def shutdown(self) -> list[RunnerExit]:
        """End all runners; each puts its search back into the queue, unless it has to be killed.

        Nothing is launched afterwards.
        """
        with self._lock:
            self._closed = True
            for pid in self._orphans.values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + GRACE_SECONDS
            processes.stop(self._runners.values(), grace_seconds=GRACE_SECONDS)
            for job_id in self._runners:
                runner_locks.discard(self._lock_path(job_id))
            for job_id in self._orphans:
                while not runner_locks.discard(self._lock_path(job_id)):
                    if time.monotonic() >= deadline:
                        self._kill_orphan(job_id)
                    time.sleep(0.05)
            ended = [
                RunnerExit(search_id, runner.returncode, "", runner.pid)
                for search_id, runner in self._runners.items()
            ]
            ended += [RunnerExit(search_id, None, "", pid) for search_id, pid in self._orphans.items()]
            self._runners.clear()
            self._orphans.clear()
            return ended

    def log_path(self, job_id: str) -> Path:
        """Where the runners of a search log, one after the other."""
        return self._log_dir / f"search-{job_id}.log"

    def _reaped(self, job_id: str, runner: Popen[bytes]) -> RunnerExit:
        del self._runners[job_id]
        processes.kill_group(runner.pid)
        runner_locks.discard(self._lock_path(job_id))
        return RunnerExit(job_id, runner.returncode, self._log_tail(job_id), runner.pid)

    def _adopt(self) -> None:
        """Take in the runners of controllers that are gone, and clear away the locks of runners that are."""
        for path in self._lock_dir.glob("*.lock"):
            job_id = path.stem
            known = job_id in self._runners or job_id in self._orphans
            if known or runner_locks.discard(path) or runner_locks.controller_lives(path):
                continue
            pid = runner_locks.holder(path)
            if pid is not None:
                self._orphans[job_id] = pid
                log.info("runner adopted", search=job_id, pid=pid)

    def _kill_orphan(self, job_id: str) -> None:
        # Looked up again: the number of one that died meanwhile may be a stranger's by now.
        pid = runner_locks.holder(self._lock_path(job_id))
        if pid is not None:
            processes.kill_group(pid)

    def _log_tail(self, job_id: str) -> str:
        # What the runners before it said is no news; of one that was adopted nobody knows where it began.
        return processes.log_tail(self.log_path(job_id), start=self._log_starts.pop(job_id, 0))

    def _lock_path(self, job_id: str) -> Path:
        return self._lock_dir / f"{job_id}.lock"
