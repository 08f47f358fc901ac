"""Child processes end when they should, with all that belongs to them."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from services import processes

SLEEP = "import time; time.sleep(600)"
IGNORE_SIGTERM = (
    f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); {SLEEP}"
)


def test_a_child_has_a_session_of_its_own_and_logs_to_its_file(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    for word in ("first", "second"):
        child = _start(f"import os, sys; print('{word}', os.getsid(0) == os.getpid())", log)
        assert child.wait(30) == 0
    assert log.read_text() == "first True\nsecond True\n"


def test_stop_asks_first_and_kills_what_does_not_listen(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    obedient, stubborn = (
        _start(SLEEP, tmp_path / "obedient.log"),
        _start(IGNORE_SIGTERM, tmp_path / "stubborn.log"),
    )
    wait_until(lambda: processes.log_tail(tmp_path / "stubborn.log") == "ready")
    processes.stop([obedient, stubborn], grace_seconds=0.5)
    assert obedient.returncode == -signal.SIGTERM
    assert stubborn.returncode == -signal.SIGKILL


def test_stop_takes_the_whole_group_along(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    with_child = f"""
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", "{SLEEP}"]).pid, flush=True)
time.sleep(600)
"""
    log = tmp_path / "parent.log"
    parent = _start(with_child, log)
    wait_until(lambda: processes.log_tail(log))
    grandchild = psutil.Process(int(processes.log_tail(log)))
    processes.stop([parent], grace_seconds=5)
    wait_until(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_child_ends_with_its_parent_however_that_ends(
    tmp_path: Path, wait_until: Callable[..., None], how: signal.Signals, platform: str
) -> None:
    child_code = f"""
import sys, time
from services.processes import end_with_parent
sys.platform = {platform!r}
end_with_parent()
print("up", flush=True)
time.sleep(600)
"""
    parent_code = f"""
import os, sys, time
from pathlib import Path
from services import processes
child = processes.start([sys.executable, "-c", {child_code!r}], environment=dict(os.environ),
                        log_path=Path({str(tmp_path / "child.log")!r}), end_with_parent=True)
print(child.pid, flush=True)
time.sleep(600)
"""
    parent = _start(parent_code, tmp_path / "parent.log")
    wait_until(lambda: processes.log_tail(tmp_path / "child.log") == "up")
    child = psutil.Process(int(processes.log_tail(tmp_path / "parent.log")))
    parent.send_signal(how)
    parent.wait(30)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_without_such_a_parent_end_with_parent_does_nothing() -> None:
    code = "from services.processes import end_with_parent; end_with_parent(); print('alive')"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "alive\n"


def test_log_tail_gives_the_last_lines_of_a_long_file(tmp_path: Path) -> None:
    log = tmp_path / "long.log"
    log.write_text("\n".join(f"line {number}" for number in range(100_000)))
    assert processes.log_tail(log, lines=2) == "line 99998\nline 99999"
    assert processes.log_tail(tmp_path / "none.log") == ""


def _start(code: str, log_path: Path) -> subprocess.Popen[bytes]:
    return processes.start([sys.executable, "-c", code], environment=os.environ, log_path=log_path)


def test_a_full_log_is_kept_once_and_its_child_goes_on_writing(tmp_path: Path) -> None:
    log, before = tmp_path / "child.log", tmp_path / "child.log.1"
    processes.bound_log(log)  # of a child that has not been started yet
    with log.open("ab", buffering=0) as child:
        child.write(b"one\n")
        processes.bound_log(log, most_bytes=4)
        assert (log.read_text(), before.exists()) == ("one\n", False)
        child.write(b"two\n")
        processes.bound_log(log, most_bytes=4)
        assert (log.read_text(), before.read_text()) == ("", "one\ntwo\n")
        child.write(b"three\n")
        processes.bound_log(log, most_bytes=4)
        assert (log.read_text(), before.read_text()) == ("", "three\n")


def test_a_full_log_is_emptied_although_the_disk_has_no_room_for_its_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, before = tmp_path / "child.log", tmp_path / "child.log.1"
    log.write_text("one two")

    def copy_in_part(_source: Path, target: Path) -> None:
        target.write_text("one")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", copy_in_part)
    processes.bound_log(log, most_bytes=4)
    assert (log.read_text(), before.exists()) == ("", False)
