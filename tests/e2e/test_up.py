"""`gtn-nas up` as a user runs it: work through the command line, Ctrl-C in the middle, again, and killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.client import Client, ControllerUnreachableError
from services.lifecycle import JobState

from ..waiting import wait_until

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

MARKER = "GTN_NAS_TEST_UP"
GTN_NAS = [sys.executable, "-P", "-m", "services.cli"]  # -P: as the installed command
TINY = [f"--set={pair}" for pair in ("inner_steps=2", "batch_size=8", "meta_steps=3", "learner_channels=[4]")]
SPACE = ["--space=nasbench201", "--space-option=channels=4", "--space-option=cells_per_stage=1"]
SLOW = ["--max-concurrent=1", "--estimator=gtn", "--estimator-option=initialisations=10"]


def test_from_data_set_to_exported_file_across_ctrl_c_and_sigkill(up: "Up", tmp_path: Path) -> None:
    up.start()
    with Client(up.url) as client:
        trained = up.cli("train-gtn", "--dataset=digits", *TINY, "--follow", "--json")
        assert trained["state"] == "succeeded"
        long = up.cli("search", "--candidates=400", *SPACE, *SLOW, "--json")["id"]
        wait_until(lambda: client.get_search(long).progress.done >= 1)

    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    assert up.processes_left() == []

    up.start()  # the same data folder: what was under way goes on by itself
    with Client(up.url) as client:
        before = client.get_search(long).progress.done
        wait_until(lambda: client.get_search(long).progress.done > before)

        up.kill_controller()  # its runner goes on without it, and `up` starts another
        wait_until(lambda: answers(client))
        before = client.get_search(long).progress.done
        wait_until(lambda: client.get_search(long).progress.done > before)

        client.cancel(long)
        claims = [event for event in client.events(long) if event.data.get("action") == "claim"]
        assert len(claims) == 2  # before and after Ctrl-C: the new controller left the runner alone
        candidates = list(client.candidates(long, order_by="number", state="succeeded"))
        assert [candidate.number for candidate in candidates] == list(range(len(candidates)))
        assert client.get_search(long).state is JobState.CANCELLED

        ranked = up.cli("rank", long, "--json")
        assert [candidate["rank"] for candidate in ranked] == list(range(1, len(ranked) + 1))
        training = up.cli("retrain", ranked[0]["id"], "--epochs=1", "--follow", "--json")
        assert 0 <= training["test_accuracy"] <= 1
        up.cli("export", ranked[0]["id"], "--format=python", "-o", str(tmp_path / "model"))
    command = [sys.executable, "-I", str(tmp_path / "model" / "model.py")]
    proof = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert ranked[0]["architecture"]["encoding"] in proof.stdout

    up.process.kill()
    up.process.wait(30)
    assert up.processes_left() == []


@pytest.fixture
def up(tmp_path: Path) -> Iterator["Up"]:
    up = Up(tmp_path)
    yield up
    for process in up.processes_left(seconds=0):
        process.kill()
    for log in [*tmp_path.glob("*.log"), *tmp_path.glob("data/logs/*.log")]:  # shown if the test fails
        print(f"--- {log.name}\n{log.read_text()[-3000:]}")


class Up:
    """`gtn-nas up` and commands that talk to it, in a folder whose packages are called as ours are."""

    url: str
    process: subprocess.Popen[bytes]

    def __init__(self, folder: Path) -> None:
        self._folder, self._log = folder, folder / "up.log"
        self._environment = {
            **os.environ,
            MARKER: str(folder),
            "GTN_NAS_DATA_DIR": str(folder / "data"),
            "GTN_NAS_LEASE_SECONDS": "5",
        }
        self._working_folder = folder / "a project of somebody's"
        for package in ("services", "nas", "gtn_core", "torch", "random"):
            (self._working_folder / package).mkdir(parents=True)
            wrong = f"raise RuntimeError('not the {package} that was meant')"
            (self._working_folder / package / "__init__.py").write_text(wrong)

    def start(self) -> None:
        """Start it on a free port, and wait until it says that it is ready."""
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*GTN_NAS, "up", "--port=0"],
                env=self._environment,
                cwd=self._working_folder,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: b"ready" in self._log.read_bytes() or self.process.poll() is not None)
        address = re.search(r"http://127\.0\.0\.1:\d+", self._log.read_text())
        assert address, self._log.read_text()
        self.url = address.group()

    def kill_controller(self) -> None:
        """SIGKILL to the controller alone."""
        children = psutil.Process(self.process.pid).children()
        (controller,) = [child for child in children if "serve" in child.cmdline()]
        controller.kill()
        controller.wait(30)

    def cli(self, *arguments: str) -> Any:
        """Run a command, which must succeed; its JSON if it prints any."""
        answer = subprocess.run(
            [*GTN_NAS, *arguments, "--url", self.url], env=self._environment, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout) if "--json" in arguments else answer.stdout

    def processes_left(self, seconds: float = 30) -> list[psutil.Process]:
        """What still runs of all that was started here, by a variable that descendants inherit."""
        deadline = time.monotonic() + seconds
        while left := [process for process in psutil.process_iter() if self._is_ours(process)]:
            if time.monotonic() >= deadline:
                break
            time.sleep(0.2)
        return left

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARKER) == str(
                self._folder
            )
        except psutil.Error:
            return False


def answers(client: Client) -> bool:
    try:
        return client.health().status == "ok"
    except ControllerUnreachableError:
        return False
