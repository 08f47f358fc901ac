"""Several Ray nodes on this machine, which join, leave and are cut off while a search runs on them."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
import torch
from ray.cluster_utils import Cluster
from ray.exceptions import OutOfDiskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import load_dataset
from nas import EstimatorData, Search, SearchSpec, estimator_data
from nas.actor_engine import ActorEngine
from nas.candidates import CandidateResult, Failure, Proposal
from nas.search import Engine
from nas.tune_engine import TuneEngine
from services.processes import start

from ..ports import free_port
from ..waiting import wait_until

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.timeout(400)]

PLUGIN = str(Path(__file__).parent / "plugin")
MIB = 2**20
START_SECONDS = 120
StartCluster = Callable[..., Cluster]


@pytest.fixture(params=[TuneEngine, ActorEngine])
def engine(request: pytest.FixtureRequest) -> Engine:
    engine: Engine = request.param()
    return engine


@pytest.fixture
def start_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[StartCluster]:
    """Starts a cluster whose head has no CPUs, and connects to it."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", PLUGIN, prepend=os.pathsep)
    monkeypatch.syspath_prepend(PLUGIN)
    clusters = []

    def start(**head: Any) -> Cluster:
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **head}
        )
        clusters.append(cluster)
        ray.init(address=cluster.address, log_to_driver=False)
        return cluster

    yield start
    ray.shutdown()
    for cluster in clusters:
        cluster.shutdown()


class Record:
    def __init__(self) -> None:
        self.results: list[CandidateResult] = []

    def on_proposal(self, proposal: Proposal) -> None:
        pass

    def on_result(self, result: CandidateResult) -> None:
        self.results.append(result)

    def should_stop(self) -> bool:
        return False

    @property
    def pids(self) -> list[int]:
        return [int(result.score.extra["pid"]) for result in self.results if result.score]

    @property
    def numbers(self) -> set[int]:
        return {result.proposal.number for result in self.results}

    @property
    def failures(self) -> list[Failure]:
        return [result.failure for result in self.results if result.failure]


def search_of(candidates: int, seconds: float) -> Search:
    body: dict[str, Any] = {
        "search_space": {"name": "nasbench201", "channels": 4, "cells_per_stage": 1},
        "algorithm": {"name": "random_search"},
        "estimator": {"name": "scripted", "seconds": seconds},
        "max_candidates": candidates,
    }
    return Search(SearchSpec.model_validate(body), (1, 8, 8), 10)


@pytest.fixture(scope="module")
def data() -> EstimatorData:
    splits = load_dataset("digits", seed=0)
    images = splits.train.images[:32].view(2, 16, 1, 8, 8)
    labels = torch.nn.functional.one_hot(splits.train.labels[:32].view(2, 16), 10).float()
    return estimator_data(
        SyntheticCurriculum(images, labels, torch.full((2,), 0.1), torch.full((2,), 0.5)), splits
    )


class OneIsLost(Record):
    """Once two workers are at work, the one that was first is lost; ends when its candidate was redone."""

    def __init__(
        self, lose: Callable[[], object], second_answer: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__()
        self._lose, self._second_answer = lose, second_answer
        self._survivor: int | None = None

    def on_result(self, result: CandidateResult) -> None:
        super().on_result(result)
        if len(self.results) == 2:
            self._second_answer()
        if self._survivor is None and len(set(self.pids)) == 2:
            self._survivor = self.pids[-1]
            self._lose()

    def should_stop(self) -> bool:
        # A worker outlives its node by a moment. What it has in hand then is a gap until it is redone.
        return set(self.pids[-6:]) == {self._survivor} and self.numbers == set(range(len(self.results)))

    def check(self) -> None:
        assert self._survivor is not None
        assert set(self.pids[-6:]) == {self._survivor}
        assert len(self.numbers) == len(self.results), "each counts once"
        assert self.failures == []


def test_the_search_follows_nodes_that_join_and_survives_one_that_is_lost(
    engine: Engine, start_cluster: StartCluster, data: EstimatorData
) -> None:
    cluster = start_cluster()
    first = cluster.add_node(num_cpus=1)
    record = OneIsLost(
        lambda: cluster.remove_node(first, allow_graceful=False),
        second_answer=lambda: cluster.add_node(num_cpus=1, wait=False),
    )
    engine.run(search_of(candidates=1000, seconds=0.3), data, record)
    record.check()


def test_a_node_that_is_cut_off_from_the_network_is_given_up(
    engine: Engine, hosts: "Hosts", data: EstimatorData
) -> None:
    """It says nothing of its end, and goes on by itself: what it would answer counts no more."""
    record = OneIsLost(lambda: hosts.cut_off(hosts.of(record.pids[0])))
    engine.run(search_of(candidates=1000, seconds=0.5), data, record)
    record.check()


def test_a_search_goes_on_while_the_object_stores_are_full(
    engine: Engine, start_cluster: StartCluster, data: EstimatorData
) -> None:
    """Also the worker in place of one that died gets what it needs. The disk counts as full, too."""
    stores = {"object_store_memory": 80 * MIB}
    cluster = start_cluster(**stores, _system_config={"local_fs_capacity_threshold": 0.001})
    cluster.add_node(num_cpus=1, **stores)
    hoard: list[Any] = []

    def fill() -> list[Any]:
        held = []
        with suppress(OutOfDiskError):
            for _ in range(100):
                held.append(ray.put(np.zeros(4 * MIB, np.uint8)))  # noqa: PERF401 - until it fails
        return held

    def fill_both() -> None:
        (node,) = (node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU"))
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        hoard.append(fill())
        hoard.append(ray.get(ray.remote(num_cpus=0)(fill).options(scheduling_strategy=there).remote()))

    class Events(Record):
        def on_result(self, result: CandidateResult) -> None:
            super().on_result(result)
            if len(self.results) == 2:
                fill_both()
            if len(self.results) == 4:
                os.kill(self.pids[-1], signal.SIGKILL)

    engine.run(search := search_of(candidates=8, seconds=0.1), data, record := Events())
    assert all(10 < len(held) < 100 for held in hoard)
    assert search.finished
    assert record.numbers == set(range(8))
    assert len(record.results) == 8
    assert record.failures == []
    assert len(set(record.pids)) == 2


HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 5000,
    "health_check_failure_threshold": 2,
}


class Hosts:
    """Two network namespaces, each with a Ray node of one CPU, behind a bridge on which the head listens."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._name = folder, f"gtn{random.randrange(100_000)}"
        self._network = f"10.{random.randrange(200, 250)}.{random.randrange(250)}"
        self._names = [f"{self._name}{letter}" for letter in "ab"]
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = f"{self._network}.1"

    def up(self) -> None:
        """Raises CalledProcessError or FileNotFoundError where the machine does not permit it."""
        bridge = self._name
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{self.address}/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for number, name in enumerate(self._names, start=2):
            ip("netns", "add", name)
            ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", name, "master", bridge, "up")
            for command in (
                ["addr", "add", f"{self._network}.{number}/24", "dev", "eth0"],
                ["link", "set", "eth0", "up"],
                ["link", "set", "lo", "up"],
            ):
                ip("-n", name, *command)

    def start_ray(self) -> None:
        config = f"--system-config={json.dumps(HEALTH_CHECKS)}"
        port = free_port(taken=())
        own = ["--num-cpus=0", "--include-dashboard=false", f"--temp-dir={self._folder}", config]
        self._start("head", [], "--head", f"--port={port}", f"--node-ip-address={self.address}", *own)
        wait_until(lambda: "Ray runtime started" in (self._folder / "head.log").read_text(), START_SECONDS)
        ray.init(f"{self.address}:{port}", _node_ip_address=self.address, log_to_driver=False)
        for number, name in enumerate(self._names, start=2):
            # One by one: on one machine, all share a folder, in which they choose names for their sockets.
            there = [f"--address={self.address}:{port}", f"--node-ip-address={self._network}.{number}"]
            self._join(name, *there)

    def of(self, pid: int) -> str:
        """The host on which a process runs."""
        return subprocess.run(
            ["ip", "netns", "identify", str(pid)], check=True, capture_output=True, text=True
        ).stdout.strip()

    def cut_off(self, name: str) -> None:
        ip("link", "set", name, "down")

    def down(self) -> None:
        ray.shutdown()
        for node in self._nodes.values():
            for process in [*psutil.Process(node.pid).children(recursive=True), node]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            node.wait()
        for name in self._names:
            inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout
            for pid in inside.split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "link", "del", name], capture_output=True)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", self._name], capture_output=True)

    def _join(self, name: str, *options: str) -> None:
        """Ray itself gives a node 30 s to start, which a busy machine may need more than once."""

        def joined() -> bool:
            if name not in self._nodes or self._nodes[name].poll() is not None:
                self._start(name, ["ip", "netns", "exec", name], *options, "--num-cpus=1")
            return bool(ray.cluster_resources().get("CPU") == len(self._nodes) - 1)

        wait_until(joined, START_SECONDS)

    def _start(self, name: str, prefix: list[str], *options: str) -> None:
        command = [*prefix, str(Path(sys.executable).with_name("ray")), "start", "--block", *options]
        self._nodes[name] = start(command, environment=os.environ, log_path=self._folder / f"{name}.log")


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", PLUGIN, prepend=os.pathsep)
    monkeypatch.syspath_prepend(PLUGIN)
    folder = Path(tempfile.mkdtemp(prefix="gtn-", dir="/tmp"))  # Ray's sockets need a short path
    hosts = Hosts(folder)
    try:
        try:
            hosts.up()
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            pytest.skip(f"this machine permits no network namespaces: {error}")
        hosts.start_ray()
        yield hosts
    finally:
        hosts.down()
        shutil.rmtree(folder, ignore_errors=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
