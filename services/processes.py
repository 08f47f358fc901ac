"""Child processes that leave nothing behind: own session, own log file, a bounded end for the whole group."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PARENT = "GTN_NAS_PARENT_PROCESS"
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

ORPHAN_CHECK_SECONDS = 0.5
"""How often a child asks whose child it is, where the kernel does not tell it that its parent has died."""

LOG_BYTES = 64 * 2**20
"""Of a child that lives as long as the service; twice as much with what is kept of the log before."""


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log_path: Path,
    end_with_parent: bool = False,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command in its own session, its output appended to `log_path`.

    A session of its own keeps a terminal's Ctrl-C from reaching the child: the parent hears it and ends its
    children in order. A child that is to `end_with_parent` must call the function of that name.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    parent = {_PARENT: str(os.getpid())} if end_with_parent else {}
    with log_path.open("ab") as log:
        return subprocess.Popen(
            command,
            env={**environment, **parent},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )


def end_with_parent() -> None:
    """In a child that was started to end with its parent: get SIGTERM when the parent dies, however it dies.

    Linux watches the thread that started the child, which must therefore live as long as its process.
    """
    parent = os.environ.pop(_PARENT, None)
    if parent is not None:
        end_with(int(parent))


def end_with(parent: int) -> None:
    """In a child: get SIGTERM when that process, its parent, dies, as above."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    else:
        threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()
    if os.getppid() != parent:  # it died before we asked
        sys.exit(0)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def stop(processes: Iterable[subprocess.Popen[bytes]], *, grace_seconds: float) -> None:
    """SIGTERM to each process, up to `grace_seconds` for all of them together, then SIGKILL to its group.

    Only the leader gets SIGTERM: it is the one that knows in which order to end its own children. The group
    is killed in any case, so that a leader that died early leaves no member behind.
    """
    # A process that was waited for before has given its number back; a stranger may hold it by now.
    processes = [process for process in processes if process.returncode is None]
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace_seconds
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        kill_group(process.pid)
        process.wait()


def kill_group(pid: int) -> None:
    """SIGKILL to a process that leads its group, and to everything it left there."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def bound_log(log_path: Path, *, most_bytes: int = LOG_BYTES) -> None:
    """Once a log is full, keep what it holds as `NAME.1`, in place of the one before, and empty it.

    Copied, not renamed: a child appends to the file that it was given. A line that it writes between the copy
    and the emptying is lost; and all of it where the disk has no room for the copy.
    """
    if log_size(log_path) > most_bytes:
        kept = log_path.with_name(f"{log_path.name}.1")
        try:
            shutil.copyfile(log_path, kept)
        except OSError:
            kept.unlink(missing_ok=True)
        os.truncate(log_path, 0)


def log_size(log_path: Path) -> int:
    """The bytes of a log file; 0 when there is none."""
    try:
        return log_path.stat().st_size
    except FileNotFoundError:
        return 0


def log_tail(log_path: Path, *, lines: int = 30, bytes_read: int = 16_384, start: int = 0) -> str:
    """The last lines of a log file, none from before the byte `start`; empty when there are none."""
    try:
        with log_path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(start, log.tell() - bytes_read))
            text = log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
