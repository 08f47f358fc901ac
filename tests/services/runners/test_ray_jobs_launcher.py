"""The Ray Jobs launcher against a real head node: jobs are submitted once, found again, and reaped."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from services.controller.launcher import RayJobsLauncher, RunnerExit
from services.ports import bind
from services.processes import start, stop

pytestmark = pytest.mark.xdist_group("ray")

WaitUntil = Callable[..., None]


@pytest.fixture
def jobs_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The Jobs API of a head node of its own."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    folder = Path(tempfile.mkdtemp(prefix="gtn-", dir="/tmp"))  # its sockets need a short path
    ports = {name: _free_port() for name in ("port", "dashboard-port", "dashboard-agent-listen-port")}
    options = [f"--{name}={port}" for name, port in ports.items()]
    ray = str(Path(sys.executable).with_name("ray"))
    head = start(
        [ray, "start", "--head", "--block", "--num-cpus=1", f"--temp-dir={folder}", *options],
        environment=os.environ,
        log_path=folder / "head.log",
    )
    yield f"http://127.0.0.1:{ports['dashboard-port']}"
    stop([head], grace_seconds=30)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_restarted_controller_finds_its_runners_and_hears_of_their_end(
    jobs_url: str, tmp_path: Path, wait_until: WaitUntil
) -> None:
    wait_until(lambda: _answers(f"{jobs_url}/api/gcs_healthz"))
    release, started = tmp_path / "release", tmp_path / "started"
    code = f"""
import os, sys, time
from pathlib import Path
with open({str(started)!r}, 'a') as log: print(sys.argv[1], os.environ['GTN_NAS_RAY_ADDRESS'], file=log)
while not Path({str(release)!r}).exists(): time.sleep(0.1)
sys.exit('out of luck')
"""
    script = tmp_path / "runner.py"
    script.write_text(code)
    entrypoint = f"{sys.executable} {script}"

    before = RayJobsLauncher(jobs_url, entrypoint)
    before.launch("a1")
    before.launch("a1")
    wait_until(started.exists)
    assert before.active() == {"a1"}
    assert before.reap() == []
    before.shutdown()  # the controller goes, the job stays

    after = RayJobsLauncher(jobs_url, entrypoint)
    after.launch("a1")
    assert after.reap() == []
    release.touch()
    exits: list[RunnerExit] = []
    wait_until(lambda: exits.extend(after.reap()) or exits)
    assert [(end.search_id, end.exit_code) for end in exits] == [("a1", 1)]
    assert "out of luck" in exits[0].log_tail
    assert after.active() == frozenset()
    assert started.read_text() == "a1 auto\n"

    after.launch("a1")  # it died: the next one is a new job
    wait_until(lambda: started.read_text() == "a1 auto\n" * 2)


def _free_port() -> int:
    with bind("127.0.0.1", 0) as free:
        port: int = free.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).is_success
    except httpx2.TransportError:
        return False
