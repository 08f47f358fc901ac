"""Ranks on a real Ray: the loss curve of one process, also when a rank is killed or the run is stopped."""

import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from gtn_core import (
    DatasetSpec,
    FrozenCheckpoint,
    MetaStepReport,
    MetaTrainingConfig,
    load_dataset,
    meta_train,
)
from services.lifecycle import JobKind
from services.meta_worker.distributed import RankTask, meta_train_on_ranks
from services.meta_worker.job_state import state_folder
from services.processes import start
from services.schemas.requests import MetaTrainingRequest, MetaTrainingResources
from services.settings import Settings
from services.store import Store
from services.wiring import child_environment

STEPS = 8
# A Ray and its ranks take long to start where the cores are busy.
pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.timeout(900)]


class Stopped(Exception):  # noqa: N818 - what a caller raises to stop a run
    pass


@pytest.fixture(scope="module")
def task() -> RankTask:
    """Three learners a step, so that two ranks have unequal shares."""
    config = MetaTrainingConfig(
        inner_steps=3,
        batch_size=10,
        learner_channels=(8,),
        learner_hidden=16,
        initial_learning_rate=0.05,  # where rounding errors do not grow
        meta_steps=STEPS,
        learners_per_meta_step=3,
        outer_batch_size=32,
        validate_every=0,
        save_every=2,
    )
    return RankTask(load_dataset("digits"), config, 5, learner_sampler=None, ranking_reference=None)


@pytest.fixture(scope="module")
def alone(task: RankTask) -> tuple[FrozenCheckpoint, list[MetaStepReport]]:
    reports: list[MetaStepReport] = []
    checkpoint = meta_train(task.splits, task.config, seed=task.seed, on_step=reports.append)
    return checkpoint, reports


def on_two_ranks(
    task: RankTask, on_step: Callable[[MetaStepReport], None], state_path: Path
) -> FrozenCheckpoint:
    resources = MetaTrainingResources(ranks=2, cpus_per_rank=0.5)
    return meta_train_on_ranks(task, resources, on_step=on_step, state_path=state_path, ray_address="")


def test_two_ranks_give_the_curve_of_one_although_one_of_them_is_killed(
    task: RankTask, alone: tuple[FrozenCheckpoint, list[MetaStepReport]], tmp_path: Path
) -> None:
    by_step: dict[int, MetaStepReport] = {}
    killed: list[int] = []

    def kill_one_rank(report: MetaStepReport) -> None:
        by_step[report.step] = report
        if not killed and report.step >= 3:
            ranks = [each for each in psutil.Process().children(recursive=True) if _is_rank(each)]
            killed.append(len(ranks))
            ranks[0].kill()

    checkpoint = on_two_ranks(task, kill_one_rank, tmp_path / "state")

    whole, expected = alone
    assert killed == [2]
    assert sorted(by_step) == list(range(1, STEPS + 1))
    for report in expected:
        found = by_step[report.step]
        assert found.loss == pytest.approx(report.loss, rel=1e-4)
        assert found.accuracy == pytest.approx(report.accuracy, abs=0.02)
        assert found.gradient_norm == pytest.approx(report.gradient_norm, rel=1e-3)
    torch.testing.assert_close(
        checkpoint.synthesize().images, whole.synthesize().images, rtol=1e-2, atol=1e-3
    )


def test_a_stop_saves_the_state_and_one_process_goes_on_from_it(
    task: RankTask, alone: tuple[FrozenCheckpoint, list[MetaStepReport]], tmp_path: Path
) -> None:
    def stop(report: MetaStepReport) -> None:
        if report.step == 3:
            raise Stopped

    with pytest.raises(Stopped):
        on_two_ranks(task, stop, tmp_path / "state")
    steps: list[MetaStepReport] = []
    meta_train(
        task.splits,
        task.config,
        seed=task.seed,
        on_step=steps.append,
        state_path=tmp_path / "state",
    )
    assert 4 <= steps[0].step <= STEPS
    for report in steps:
        assert report.loss == pytest.approx(alone[1][report.step - 1].loss, rel=1e-3)


def test_a_killed_worker_leaves_a_state_to_go_on_from_and_no_ranks(
    task: RankTask, settings: Settings, store: Store, wait_until: Callable[..., None]
) -> None:
    request = MetaTrainingRequest(
        dataset=DatasetSpec(name="digits"),
        config=task.config.model_copy(update={"meta_steps": 40, "save_every": 1}),
        resources=MetaTrainingResources(ranks=2, cpus_per_rank=0.5),
    )
    job = store.create_job(
        JobKind.META_TRAINING, name="", request=request.model_dump(mode="json"), progress_total=40
    )
    process = start(
        [sys.executable, "-m", "services.meta_worker"],
        environment=child_environment(settings),
        log_path=settings.data_dir / "worker.log",
    )
    wait_until(lambda: store.get_job(job.id).progress_done >= 4)
    ranks = [each for each in psutil.Process(process.pid).children(recursive=True) if _is_rank(each)]
    process.kill()
    process.wait(60)
    reached = store.get_job(job.id).progress_done
    assert len(ranks) == 2
    assert 4 <= reached < 40
    wait_until(lambda: not any(map(_lives, ranks)))

    reports: list[MetaStepReport] = []
    state = state_folder(settings.data_dir, JobKind.META_TRAINING, job.id) / "state"
    meta_train(task.splits, request.config, state_path=state, on_step=reports.append)
    assert reached <= reports[0].step  # a step is told after the state before it is kept
    assert reports[-1].step == 40


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_rank(process: psutil.Process) -> bool:
    return "RayTrainWorker" in " ".join(process.cmdline())
