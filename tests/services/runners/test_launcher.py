"""The subprocess launcher knows its runners, and leaves none behind."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.dispatch.launcher import RunnerExit, SubprocessLauncher

SLEEP = "import time; time.sleep(600)"
MakeLauncher = Callable[[str], SubprocessLauncher]


@pytest.fixture
def make_launcher(tmp_path: Path) -> MakeLauncher:
    """A launcher whose runners execute `code`, with the search's id as their argument."""
    return lambda code: SubprocessLauncher(os.environ, tmp_path, [sys.executable, "-c", code])


def test_a_runner_is_active_until_it_is_reaped_with_its_last_words(
    make_launcher: MakeLauncher, wait_until: Callable[..., None]
) -> None:
    launcher = make_launcher("import sys; print('search', sys.argv[1]); sys.exit('out of luck')")
    launcher.launch("a1")
    assert launcher.active() == {"a1"}
    exits: list[RunnerExit] = []
    wait_until(lambda: exits.extend(launcher.reap()) or exits)
    assert [(end.job_id, end.exit_code) for end in exits] == [("a1", 1)]
    assert exits[0].log_tail.splitlines() == ["search a1", "out of luck"]
    assert launcher.active() == frozenset()
    assert launcher.reap() == []


def test_the_last_words_of_a_runner_are_its_own(
    make_launcher: MakeLauncher, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    code = f"""
import pathlib, sys
told = pathlib.Path({str(tmp_path)!r}, "told")
if not told.exists():
    told.touch()
    sys.exit("the first one")
"""
    launcher = make_launcher(code)
    tails = []
    for _ in range(2):
        launcher.launch("a1")
        exits: list[RunnerExit] = []
        wait_until(lambda: exits.extend(launcher.reap()) or exits)  # noqa: B023 - called at once
        tails.append(exits[0].log_tail)
    assert tails == ["the first one", ""]
    assert launcher.log_path("a1").read_text() == "the first one\n"


def test_one_search_has_one_runner_at_a_time(make_launcher: MakeLauncher, tmp_path: Path) -> None:
    launcher = make_launcher("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    for _ in range(3):
        launcher.launch("a1")
    launcher.shutdown()
    assert len(launcher.log_path("a1").read_text().splitlines()) <= 1


def test_shutdown_ends_all_runners_and_nothing_is_launched_afterwards(
    make_launcher: MakeLauncher, wait_until: Callable[..., None]
) -> None:
    note = """
import signal, sys, time
def end(*_):
    print("ended in order", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""
    launcher = make_launcher(note)
    for search_id in ("a1", "b2"):
        launcher.launch(search_id)
    for search_id in ("a1", "b2"):
        wait_until(lambda: "ready" in launcher.log_path(search_id).read_text())  # noqa: B023 - called at once
    launcher.shutdown()
    for search_id in ("a1", "b2"):
        assert launcher.log_path(search_id).read_text() == "ready\nended in order\n"
    launcher.launch("c3")
    assert launcher.active() == frozenset()
    assert not launcher.log_path("c3").exists()


def test_a_runner_outlives_a_controller_that_is_killed_and_goes_to_one_of_its_database(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    code = f"""
import os, sys, time
from pathlib import Path
from services.dispatch.launcher import SubprocessLauncher
sleeper = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
SubprocessLauncher(os.environ, Path({str(tmp_path)!r}), sleeper, database_id="ours").launch("a1")
time.sleep(600)
"""
    controller = SubprocessLauncher(os.environ, tmp_path, [sys.executable, "-c", code])
    controller.launch("controller")
    log = tmp_path / "search-a1.log"
    wait_until(lambda: log.exists() and log.read_text())
    runner = int(log.read_text())
    controller.shutdown()  # SIGTERM kills a Python that does not handle it, as SIGKILL would
    os.kill(runner, 0)  # raises when it is gone
    theirs, ours = (SubprocessLauncher(os.environ, tmp_path, database_id=each) for each in ("theirs", "ours"))
    theirs.reap()
    assert theirs.active() == frozenset()
    ours.reap()
    assert ours.active() == {"a1"}
    os.kill(runner, signal.SIGKILL)
