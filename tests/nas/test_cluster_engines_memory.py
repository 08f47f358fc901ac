"""A node that runs out of memory: Ray's monitor kills workers, an end that engines do not see coming."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import load_dataset
from nas import Search, SearchSpec, estimator_data
from nas.actor_engine import ActorEngine
from nas.candidates import CandidateResult, Proposal
from nas.cluster import WorkerSetupError
from nas.tune_engine import TuneEngine

pytestmark = pytest.mark.xdist_group("ray")

PLUGIN = str(Path(__file__).parent / "plugin")


@pytest.fixture
def _crowded_cluster() -> Iterator[None]:
    """A local Ray that holds a hundredth of the memory for all there is: every worker is one too many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", PLUGIN, prepend=os.pathsep)
        patch.syspath_prepend(PLUGIN)
        monitor = {"memory_usage_threshold": 0.01, "memory_monitor_refresh_ms": 200}
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _system_config=monitor)
        yield
        ray.shutdown()


class Record:
    def __init__(self) -> None:
        self.results: list[CandidateResult] = []

    def on_proposal(self, proposal: Proposal) -> None:
        pass

    def on_result(self, result: CandidateResult) -> None:
        self.results.append(result)

    def should_stop(self) -> bool:
        return False


@pytest.mark.usefixtures("_crowded_cluster")
def test_when_the_memory_monitor_kills_every_worker_the_reason_is_told() -> None:
    splits = load_dataset("digits", seed=0)
    images = splits.train.images[:32].view(2, 16, 1, 8, 8)
    labels = torch.nn.functional.one_hot(splits.train.labels[:32].view(2, 16), 10).float()
    curriculum = SyntheticCurriculum(images, labels, torch.full((2,), 0.1), torch.full((2,), 0.5))
    body: dict[str, Any] = {
        "search_space": {"name": "nasbench201", "channels": 4, "cells_per_stage": 1},
        "algorithm": {"name": "random_search"},
        "estimator": {"name": "scripted", "seconds": 600},
        "max_candidates": 2,
    }
    slow_start = body | {"estimator": {"name": "scripted", "start_seconds": 600}}
    search = Search(SearchSpec.model_validate(slow_start), (1, 8, 8), 10)
    data = estimator_data(curriculum, splits)
    with pytest.raises(WorkerSetupError, match=r"workers die while they start: .* low on memory"):
        ActorEngine().run(search, data, record := Record())
    assert record.results == []

    search = Search(SearchSpec.model_validate(body), (1, 8, 8), 10)
    TuneEngine().run(search, data, record := Record())
    assert search.finished
    failures = {result.proposal.number: result.failure for result in record.results}
    assert set(failures) == {0, 1}
    assert {failure.reason for failure in failures.values() if failure} == {"out of memory"}
