"""A controller and a meta-training worker as child processes of this one, kept alive until told to end."""

import errno
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from io import FileIO
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import Self

import httpx2
import structlog
from joblib import cpu_count

from services import processes
from services.controller.security import require_key_beyond_loopback
from services.dispatch.runner_locks import acquire, controller_lives
from services.errors import ServiceError
from services.heap import heap_environment
from services.lease import owner_prefix
from services.ports import inherit, listen
from services.settings import Settings
from services.shutdown import Shutdown
from services.store import upgrade
from services.wiring import child_environment, make_store

READY_SECONDS = 90.0
"""How long the controller may take to answer: mostly the import of PyTorch on a busy machine."""

GRACE_SECONDS = 30.0
"""How long the children may take to end: the controller has runners of its own to wait for."""

MAX_RESTARTS = 3
"""Restarts of a child that does not live for STABLE_SECONDS; then the stack gives up."""

STABLE_SECONDS = 60.0
_WATCH_SECONDS = 0.2

log = structlog.get_logger(__name__)


class LocalStack:
    """The services of one machine while the `with` block runs, all their state in one data folder.

    A child that dies is started again, with a pause that doubles; one that keeps dying ends the stack, and
    `failure` says why. Nothing outlives the block, and nothing outlives this process if it is killed.
    """

    def __init__(self, settings: Settings, on_failure: Callable[[], None] | None = None) -> None:
        """`on_failure` is called, from another thread, when a child is given up.

        Raises ServiceError when the port is taken or another stack has the data folder, ModuleNotFoundError
        where PyTorch is not there.
        """
        if find_spec("torch") is None:  # the children would say so in their logs, and be started again
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        # Held until the end, and served by the controller: meanwhile nobody else gets the port, neither
        # before the controller is there nor between two of them, and is taken for ours.
        self.listener = listen(settings.host, settings.port)
        self._sole_use = _sole_use(settings.data_dir)
        port: int = self.listener.getsockname()[1]
        self.settings = settings.model_copy(update={"port": port})
        host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.failure: str | None = None
        """Set when a child keeps dying."""
        self._on_failure = on_failure
        logs = self.settings.log_dir
        with_key = child_environment(self.settings, with_api_key=True)
        # Half of the cores are for the candidates of searches; small learners gain nothing from more anyway.
        threads = {"OMP_NUM_THREADS": str(max(1, cpu_count() // 2))}
        worker_environment = threads | child_environment(self.settings)
        worker_environment |= heap_environment(worker_environment)
        self.children = [
            Child(
                "controller",
                ("services.cli", "serve"),
                with_key | inherit(self.listener),
                logs / "controller.log",
                pass_fds=[self.listener.fileno()],
            ),
            Child(
                "meta-worker",
                ("services.meta_worker",),
                worker_environment,
                logs / "meta-worker.log",
                on_end=self._requeue_trainings,
            ),
        ]
        self._leaving = threading.Event()
        # The children end with the thread that started them, so one thread starts and restarts them all.
        self._supervisor = threading.Thread(target=self._supervise, name="local-stack", daemon=True)

    def __enter__(self) -> Self:
        upgrade(self.settings.resolved_database_url)
        with make_store(self.settings) as store:
            require_key_beyond_loopback(self.settings, store)
        self._supervisor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._supervisor.join()
        if self._sole_use is not None:
            self._sole_use.close()

    def wait_until_ready(self, shutdown: Shutdown) -> None:
        """Return when the controller serves requests, or when this process is told to end.

        Raises ServiceError when the controller does not come up.
        """
        deadline = time.monotonic() + READY_SECONDS
        while self.failure is None and time.monotonic() < deadline:
            if shutdown.requested:
                return
            try:
                # Not by way of a proxy of the environment, which would look for us on its own machine.
                if httpx2.get(f"{self.url}/readyz", timeout=5, trust_env=False).is_success:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(_WATCH_SECONDS)
        late = f"the controller at {self.url} is not ready after {READY_SECONDS:g} s"
        raise ServiceError(self.failure or f"{late}; see {self.children[0].log_path}")

    def _supervise(self) -> None:
        while not self._leaving.is_set() and self.failure is None:
            for child in self.children:
                child.keep_alive()
            self._note_failures()
            self._leaving.wait(_WATCH_SECONDS)
        self.listener.close()
        running = [child.process for child in self.children if child.process is not None]
        processes.stop(running, grace_seconds=GRACE_SECONDS)

    def _requeue_trainings(self, pid: int) -> None:
        """What a worker that is dead for certain had in hand need not wait for its lease to run out."""
        try:
            with make_store(self.settings) as store:
                for job in store.requeue_dead(owner_prefix("meta-worker", pid)):
                    log.info("back in the queue", job=job.id, kind=job.kind.value)
        except ServiceError as error:
            log.warning("a dead worker's job waits for its lease to run out", error=str(error))

    def _note_failures(self) -> None:
        failures = [child.failure for child in self.children if child.failure is not None]
        if failures and self.failure is None:
            self.failure = failures[0]
            if self._on_failure is not None:
                self._on_failure()


def _sole_use(data_dir: Path) -> FileIO | None:
    """What holds the folder for this process while it is open, and while this process lives.

    None where files cannot be locked, as on some network file systems, and where another machine has the
    lock: it may be gone, which a file system cannot always tell. Raises ServiceError when a process here has
    it.
    """
    path = data_dir / "up.lock"
    try:
        descriptor = acquire(path)
    except OSError as error:
        if error.errno not in {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise
        log.warning("the data folder cannot be locked: start no second stack on it", error=str(error))
        return None
    if descriptor is not None:
        return FileIO(descriptor)
    if controller_lives(path):
        raise ServiceError(
            f"process {path.read_text().strip()} runs the services on {data_dir} already; end it, or give "
            "this one a --data-dir of its own"
        )
    log.warning("another machine runs the services on the data folder, or did: two must not share it")
    return None


class Child:
    """One child process, restarted after a pause that doubles; `failure` is set when it is given up."""

    def __init__(
        self,
        name: str,
        module: tuple[str, ...],
        environment: dict[str, str],
        log_path: Path,
        first_pause: float = 1.0,
        on_end: Callable[[int], None] = lambda _pid: None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """`on_end` gets the id of a process that has died, once its whole group is gone."""
        self.name, self.log_path, self._first_pause, self._on_end = name, log_path, first_pause, on_end
        self._pass_fds = pass_fds
        self.process: Popen[bytes] | None = None
        self.failure: str | None = None
        self._command, self._environment = [sys.executable, "-P", "-m", *module], environment
        self._restarts, self._start_at, self._started_at = 0, 0.0, 0.0

    def keep_alive(self) -> None:
        """Start the child if it does not run and its pause is over; bound its log."""
        processes.bound_log(self.log_path)
        if self.process is not None and self.process.poll() is not None:
            self._note_end(self.process)
        if self.process is None and self.failure is None and time.monotonic() >= self._start_at:
            self._started_at = time.monotonic()
            try:
                self.process = processes.start(
                    self._command,
                    environment=self._environment,
                    log_path=self.log_path,
                    end_with_parent=True,
                    pass_fds=self._pass_fds,
                )
            except OSError as error:  # no room for its log, no process to be had
                self._pause_or_give_up(f"could not be started: {error}")

    def _note_end(self, process: Popen[bytes]) -> None:
        processes.kill_group(process.pid)
        self.process = None
        self._on_end(process.pid)
        if time.monotonic() - self._started_at >= STABLE_SECONDS:
            self._restarts = 0
        said = processes.log_tail(self.log_path, lines=1).strip()
        self._pause_or_give_up(f"with exit code {process.returncode}: {said} (log: {self.log_path})")

    def _pause_or_give_up(self, how: str) -> None:
        """`how` the child ended."""
        if self._restarts == MAX_RESTARTS:
            self.failure = f"the {self.name} ended {MAX_RESTARTS + 1} times in a row, now {how}"
            return
        pause = self._first_pause * 2.0**self._restarts
        self._restarts += 1
        self._start_at = time.monotonic() + pause
        log.warning("child ended", child=self.name, how=how, restart_in_seconds=pause)
