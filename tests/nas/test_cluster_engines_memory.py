"""A node that runs out of memory: Ray's monitor kills workers, an end that engines do not see coming."""

from collections.abc import Iterator
from typing import Any

import pytest
import ray

from nas import EstimatorData, Search, SearchSpec
from nas.actor_engine import ActorEngine
from nas.cluster import WorkerSetupError
from nas.tune_engine import TuneEngine

from .conftest import let_ray_find_the_plugin
from .record import Record

pytestmark = pytest.mark.xdist_group("ray")


@pytest.fixture
def _crowded_cluster() -> Iterator[None]:
    """A local Ray that holds a hundredth of the memory for all there is: every worker is one too many."""
    with pytest.MonkeyPatch.context() as patch:
        let_ray_find_the_plugin(patch)
        monitor = {"memory_usage_threshold": 0.01, "memory_monitor_refresh_ms": 200}
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _system_config=monitor)
        yield
        ray.shutdown()


@pytest.mark.usefixtures("_crowded_cluster")
def test_when_the_memory_monitor_kills_every_worker_the_reason_is_told(data: EstimatorData) -> None:
    body: dict[str, Any] = {
        "search_space": {"name": "nasbench201", "channels": 4, "cells_per_stage": 1},
        "algorithm": {"name": "random_search"},
        "estimator": {"name": "scripted", "seconds": 600},
        "max_candidates": 2,
    }
    slow_start = body | {"estimator": {"name": "scripted", "start_seconds": 600}}
    search = Search(SearchSpec.model_validate(slow_start), (1, 8, 8), 10)
    with pytest.raises(WorkerSetupError, match=r"workers die while they start: .* low on memory"):
        ActorEngine().run(search, data, record := Record())
    assert record.results == []

    search = Search(SearchSpec.model_validate(body), (1, 8, 8), 10)
    TuneEngine().run(search, data, record := Record())
    assert search.finished
    assert {number: reason for number, (reason, _) in record.failures.items()} == dict.fromkeys(
        (0, 1), "out of memory"
    )
