"""A Ray connection for as long as a job runs: the cluster of the settings, or a local Ray.

Only search runners and meta-training workers come here, never the controller: Ray ends the process that it
runs in when the cluster's head is lost.
"""

import errno
import fcntl
import gc
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import structlog

from services.errors import ClusterUnavailableError

log = structlog.get_logger(__name__)

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",  # a cluster with tokens sets its own mode
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    # Below `uv run` Ray would have workers install the project again, from a copy of the working folder.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the runner's own handler stops a search in order
}

_LOCAL = {
    # What keeps it on loopback, also on Linux: whoever reaches its ports can run code here.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # No worker per processor before any is asked for: searches and ranks mostly use fewer.
    "RAY_prestart_worker_first_driver": "0",
}
"""A local Ray's own environment."""

_WITHOUT_MODULES = "/"
"""Ray has workers import from where it was connected to first of all: who works in a folder with a package
`services`, or a `torch.py`, would get that. This is a folder that nobody writes to."""


@contextmanager
def ray_session(address: str) -> Iterator[Path | None]:
    """Connect to the Ray cluster at `address`, or start a local Ray when it is empty; leave it at the end.

    Yields the folder of a local one, which goes with it; after a failure or a kill, with another a day later.
    A local one keeps to loopback, if Ray was not imported before.
    Raises ClusterUnavailableError when that fails, and when the cluster is lost inside the block; OSError
    when the disk has no room for a local one. Must be entered in the main thread: the processes of a local
    Ray end with the thread that started them.
    """
    for name, value in (_ENVIRONMENT if address else _ENVIRONMENT | _LOCAL).items():
        os.environ.setdefault(name, value)
    _have_a_home()
    _leave_removed_folder()
    _name_module_folders_in_full()
    if os.environ.get("PYTHONOPTIMIZE", "") not in {"", "0", "1"}:
        os.environ["PYTHONOPTIMIZE"] = "1"  # Ray's own processes do not start without docstrings
    from ray.exceptions import RayError  # after its environment is set: Ray reads some of it on import

    where = f"Ray at {address}" if address else "local Ray"
    try:
        context = _connect(address, where)
        folder = None if address else Path(context.address_info["session_dir"])
        with _marked(folder) if folder else nullcontext(), nullcontext() if address else _watched():
            yield folder
    except (RayError, ConnectionError) as error:
        raise ClusterUnavailableError(f"{where} is not available: {error}", is_local=not address) from error
    finally:
        _leave()
    if folder:  # Ray keeps the folder of each session for ever; after a failure, a day is for the better
        shutil.rmtree(folder, ignore_errors=True)


def _have_a_home() -> None:
    """Ray asks for one as it is imported; who is not in the list of users, as in containers, has none."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = tempfile.gettempdir()


def _leave_removed_folder() -> None:
    """Ray asks for the working folder, and a service outlives the one that it was started in."""
    try:
        Path.cwd()
    except FileNotFoundError:
        os.chdir(_WITHOUT_MODULES)


def _name_module_folders_in_full() -> None:
    """Those of PYTHONPATH: workers start in another folder."""
    if given := os.environ.get("PYTHONPATH"):
        os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, given.split(os.pathsep)))


def _leave() -> None:
    """Shut Ray down while no other thread comes upon its objects.

    Ray exits the process, with 1, when one of its objects is freed between the end of its core and that of
    its Python side: as when garbage is collected by the thread that renews the lease.
    """
    import ray

    gc.collect()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        gc.enable()


def _connect(address: str, where: str) -> Any:
    """Returns Ray's own context, a `ray.RayContext` where Ray is local."""
    import ray

    options = {"address": address} if address else _local_options()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with _standing_in(_WITHOUT_MODULES):
            context = ray.init(**options, log_to_driver=False, configure_logging=False)
    except Exception as error:  # a node that is too slow to start raises no type of its own
        raise ClusterUnavailableError(f"{where} did not start: {error}") from error
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():  # Ray has put its own there
            signal.signal(number, handler)
    return context


MARK = "gtn-nas.lock"
"""In the folder of each session of ours, and locked while that lives: no process id tells of a cluster that
`ray start` left running in the same place."""


@contextmanager
def _marked(folder: Path) -> Iterator[None]:
    with (folder / MARK).open("w") as mark:
        with suppress(OSError):  # a file system without locks: nobody will remove it either
            fcntl.flock(mark, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.utime(mark.fileno())


WATCH_SECONDS = 2.0
"""Between two looks at a local Ray."""

SILENT_LOOKS = 60
"""How many of them may pass without an answer. Counted, since this process may have stood still as well."""


@contextmanager
def _watched() -> Iterator[None]:
    """End this process should its local Ray stand still: calls to Ray then never return, also those to end.

    The job goes to another process, which starts a Ray of its own.
    """
    left = threading.Event()
    watch = threading.Thread(target=_watch, args=(left,), name="local-ray", daemon=True)
    watch.start()
    try:
        yield
    finally:
        left.set()
        watch.join(WATCH_SECONDS)


def _watch(left: threading.Event) -> None:
    while not left.wait(WATCH_SECONDS):
        silent = _silent(left)
        if silent is not None:
            log.error(
                "local Ray stands still; this process ends, and another may have its job", silent=silent
            )
            os._exit(1)


def _silent(left: threading.Event) -> str | None:
    """Which process of the local Ray stands still, if one does."""
    answers: SimpleQueue[list[bool] | None] = SimpleQueue()
    threading.Thread(target=_look, args=(answers,), name="local-ray-look", daemon=True).start()
    for _ in range(SILENT_LOOKS):
        with suppress(Empty):
            alive = answers.get(timeout=WATCH_SECONDS)
            return "raylet" if alive is not None and not any(alive) else None
        if left.is_set():
            return None
    return "gcs_server"


def _look(answers: "SimpleQueue[list[bool] | None]") -> None:
    import ray

    try:
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's omission
        answers.put([node["Alive"] for node in nodes])
    except Exception:  # it is being left, or ends this process by itself
        answers.put(None)


@contextmanager
def _standing_in(folder: str) -> Iterator[None]:
    """Change the working folder, and go back if that is allowed: with sudo it need not be."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(before)


def _local_options() -> dict[str, Any]:
    """How a Ray of this machine is started. Raises OSError where there is no room for its files."""
    from joblib import cpu_count

    folder = _session_folder()
    _remove_abandoned(folder)
    _require_room(folder)
    return {
        "address": "local",
        "num_cpus": cpu_count(),  # Ray would take all that the machine has
        "include_dashboard": False,
        "runtime_env": _workers_environment(),
        "_temp_dir": str(folder),
    }


def _workers_environment() -> dict[str, str] | None:
    """Ray has a shell start the workers of Tune, and puts the path of Python into its command as it is.

    None for a path that a shell takes as it is: workers of an environment wait for that to be made.
    """
    quoted = shlex.quote(sys.executable)
    return None if quoted == sys.executable else {"py_executable": quoted}


_LONGEST_TEMPORARY_FOLDER = 107 - len("/ray/session_2026-01-31_23-59-59_123456_4194304/sockets/plasma_store")
"""Characters; the path of a Unix socket has at most 107 of them."""


def _session_folder() -> Path:
    """Where a local Ray keeps its sessions: where it would by itself, unless it cannot start there.

    The temporary folder of a job on a cluster is often longer than its sockets allow, and Ray reads ASCII.
    """
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    fits = folder.isascii() and len(folder) <= _LONGEST_TEMPORARY_FOLDER
    return Path(folder if fits else "/tmp") / "ray"


ABANDONED_SECONDS = 24 * 3600.0
"""How long the folder of a session that failed, or was killed, is kept."""


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob(f"session_*/{MARK}"):
        with suppress(OSError), path.open() as mark:  # it lives, is another user's, or is being removed
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent, ignore_errors=True)


LEAST_ROOM = 2**20
"""Bytes of a disk that is as good as full: Ray starts with a few hundred kilobytes of files."""


def _require_room(folder: Path) -> None:
    """Raise OSError where Ray would wait half a minute for files of its own, and the job's lease run out."""
    existing = next(each for each in (folder, *folder.parents) if os.access(each, os.F_OK))
    if shutil.disk_usage(existing).free < LEAST_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
