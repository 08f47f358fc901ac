"""One runner per search on this machine: a file that stays locked as long as the runner lives.

The launcher locks the file and hands it to the runner it starts. The kernel frees the lock when that runner
has died, however it dies, and keeps it when the launcher dies: so a controller that starts sees which runners
its predecessor left behind, without trusting any process id on paper.
"""

import fcntl
import os
from pathlib import Path

import psutil


def acquire(path: Path) -> int | None:
    """A descriptor that holds the lock, for a runner to inherit; None while another runner holds it.

    This process's id is noted in the file: it is the controller that the runner belongs to.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may be the data folder
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            os.pwrite(descriptor, f"{os.getpid():<20}".encode(), 0)
            return descriptor
        os.close(descriptor)  # the file was removed between our opening and our locking it


def discard(path: Path) -> bool:
    """Remove the file of a runner that is gone; False, and nothing done, while one holds it."""
    descriptor = acquire(path)
    if descriptor is None:
        return False
    path.unlink(missing_ok=True)
    os.close(descriptor)
    return True


def controller_lives(path: Path) -> bool:
    """Whether the controller that started the runner still runs."""
    try:
        os.kill(int(path.read_text()), 0)
    except (ValueError, OSError):
        return False
    return True


def holder(path: Path) -> int | None:
    """The process id of the runner that has the file open, as the system tells it; None if there is none."""
    target = str(path.resolve())
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _has_open(process, target):
            return process.pid
    return None


def _has_open(process: psutil.Process, target: str) -> bool:
    try:
        return any(each.path == target for each in process.open_files())
    except (psutil.Error, OSError):  # it ended meanwhile, or is another user's
        return False


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
