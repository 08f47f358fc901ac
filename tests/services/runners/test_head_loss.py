"""The head of the Ray cluster dies, and with it runner and workers; the controller resumes the search."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gtn_core import FrozenCheckpoint
from services.checkpoints import store_checkpoint
from services.dispatch.lanes import make_dispatcher
from services.lifecycle import JobState
from services.processes import start, stop
from services.settings import Settings
from services.store import JobRecord, Store
from services.wiring import Backend, child_environment

from ...ports import free_port
from .conftest import PLUGIN, with_plugin

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

WaitUntil = Callable[..., None]


class RayCluster:
    """A head without CPUs and one node, as the compose file starts them; a dead one is started again."""

    def __init__(self, settings: Settings) -> None:
        # Not below pytest's folder: its sockets need a short path.
        self._folder = Path(tempfile.mkdtemp(prefix="gtn-", dir="/tmp"))
        self._ports: dict[str, int] = {}
        for name in ("port", "dashboard-port", "dashboard-agent-listen-port"):
            self._ports[name] = free_port(self._ports.values())
        self.jobs_url = f"http://127.0.0.1:{self._ports['dashboard-port']}"
        self._environment = with_plugin(child_environment(settings)) | {
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),  # of the runner
        }
        self._nodes: list[subprocess.Popen[bytes]] = []

    def up(self) -> None:
        ports = [f"--{name}={port}" for name, port in self._ports.items()]
        self._start("head", "--head", "--num-cpus=0", *ports)
        self._start("node", f"--address=127.0.0.1:{self._ports['port']}", "--num-cpus=1")

    def kill(self) -> None:
        """SIGKILL to everything, down to the runner on the head and the workers on the node."""
        for node in self._nodes:
            for process in [*psutil.Process(node.pid).children(recursive=True), node]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            node.wait()
        self._nodes.clear()

    def close(self) -> None:
        stop(self._nodes, grace_seconds=30)
        for log in self._folder.glob("*.log"):
            print(f"--- {log.name}\n{log.read_text()[-3000:]}")  # pytest shows it when the test has failed
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, name: str, *options: str) -> None:
        ray = str(Path(sys.executable).with_name("ray"))
        command = [ray, "start", "--block", f"--temp-dir={self._folder}", *options]
        if name == "node":
            command.remove(f"--temp-dir={self._folder}")  # the head's is taken
        node = start(command, environment=self._environment, log_path=self._folder / f"{name}.log")
        self._nodes.append(node)


@pytest.fixture
def cluster(settings: Settings) -> Iterator[RayCluster]:
    cluster = RayCluster(settings)
    yield cluster
    cluster.close()


def test_the_controller_resumes_a_search_whose_head_was_lost(
    store: Store,
    settings: Settings,
    backend: Backend,
    checkpoint: FrozenCheckpoint,
    cluster: RayCluster,
    queue_search: Callable[..., JobRecord],
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    checkpoint_id = store_checkpoint(store, backend.artifacts, checkpoint).id
    search = queue_search(checkpoint_id, candidates=12, estimator={"name": "scripted", "seconds": 0.5}).id
    dispatcher = make_dispatcher(store, settings.model_copy(update={"ray_jobs_url": cluster.jobs_url}))
    dispatcher.start()
    try:
        cluster.up()  # after the controller: it waits for its cluster
        wait_until(lambda: len(store.history(search)) >= 3)
        cluster.kill()
        acknowledged = store.history(search)
        assert 3 <= len(acknowledged) < 12

        cluster.up()
        wait_until(lambda: store.get_job(search).state.terminal)
    finally:
        dispatcher.stop()
    job, history = store.get_job(search), store.history(search)
    assert (job.state, job.progress_done) == (JobState.SUCCEEDED, 12), job.error
    assert history[: len(acknowledged)] == acknowledged
    assert sorted(candidate.number for candidate in history) == list(range(12))
    assert len({candidate.canonical_hash for candidate in history}) == 12
    told = [
        event.data["number"] for event in store.events_after(search, 0, 1000) if event.type == "candidate"
    ]
    assert sorted(told) == list(range(12))
