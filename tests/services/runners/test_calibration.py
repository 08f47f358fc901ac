"""A meta-training that teaches an order takes it from a table, or trains for it once per data set."""

from collections.abc import Callable
from typing import Any

import pytest

from services.checkpoints import load_checkpoint
from services.execution import Ending
from services.lifecycle import JobKind
from services.meta_worker.worker import Worker
from services.schemas.requests import MetaTrainingRequest
from services.settings import Settings
from services.shutdown import Shutdown
from services.store import Store
from services.wiring import Backend

CONFIG = {
    "inner_steps": 2,
    "batch_size": 10,
    "meta_steps": 2,
    "outer_batch_size": 16,
    "ranking_weight": 1.0,
    "ranking_learners": 2,
}
TABLE = (
    "architecture,accuracy\n"
    "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|,80\n"
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_1x1~2|,90\n"
)


@pytest.fixture
def run(settings: Settings, store: Store, backend: Backend) -> Callable[..., tuple[str, str]]:
    """Runs a meta-training; its id, and the learners that the checkpoint's manifest names."""

    def run(calibration_set: dict[str, Any], **changes: Any) -> tuple[str, str]:
        request = MetaTrainingRequest.model_validate(
            {
                "dataset": {"name": "digits"},
                "config": CONFIG | changes,
                "learner_space": {"name": "nasbench201", "channels": 2, "cells_per_stage": 1},
                "calibration_set": calibration_set,
            }
        )
        job = store.create_job(
            JobKind.META_TRAINING, name="", request=request.model_dump(mode="json"), progress_total=2
        )
        assert Worker(settings, Shutdown()).work_once() is Ending.SUCCEEDED
        result = store.get_job(job.id).result
        assert result is not None
        return job.id, load_checkpoint(backend.artifacts, result["checkpoint_id"]).manifest.learner

    return run


def test_real_trainings_are_made_once_for_a_data_set_and_told(
    run: Callable[..., tuple[str, str]], store: Store
) -> None:
    def trained(job_id: str) -> list[tuple[int, int]]:
        events = [event.data for event in store.events_after(job_id) if event.type == "calibrated"]
        return [(event["done"], event["total"]) for event in events]

    first, learner = run({"architectures": 3, "steps": 1})
    assert trained(first) == [(1, 3), (2, 3), (3, 3)]
    assert "taught for the order of validation accuracies after 1 real steps" in learner
    assert trained(run({"architectures": 3, "steps": 1}, inner_steps=3)[0]) == []
    assert trained(run({"architectures": 4, "steps": 1})[0]) == [(4, 4)]
    assert len(trained(run({"architectures": 2, "steps": 2})[0])) == 2


def test_a_table_gives_the_order_without_any_training(
    run: Callable[..., tuple[str, str]], store: Store
) -> None:
    job_id, learner = run({"architectures": 2, "table": {"csv": TABLE}})
    assert "taught for the order of a table of true accuracies (nasbench201" in learner
    assert [event for event in store.events_after(job_id) if event.type == "calibrated"] == []
