"""A meta-training job: from its request to a frozen checkpoint in the artifact store."""

import time
from dataclasses import asdict
from pathlib import Path

import structlog

from gtn_core import (
    DatasetSplits,
    FrozenCheckpoint,
    GtnNasError,
    MetaStepReport,
    MetaTrainingDiverged,
    load_dataset,
    meta_train,
    with_learning_curves,
)
from gtn_core.config import ACCEPTED
from nas.slot import own_device
from services.checkpoints import store_checkpoint
from services.lease import Lease
from services.meta_worker.calibration import requested_reference
from services.meta_worker.distributed import RankTask, meta_train_on_ranks
from services.meta_worker.learner_sampling import learner_sampler
from services.schemas.requests import MetaTrainingRequest
from services.store import EventType, JsonObject
from services.wiring import Backend

log = structlog.get_logger(__name__)

EVENT_SECONDS = 0.25
"""Least time between two progress events: what a person can follow, and what a database bears for weeks."""


def run_meta_training(lease: Lease, backend: Backend, state_folder: Path) -> JsonObject:
    """Meta-train as requested, resuming where an earlier worker of this job stopped.

    Returns the checkpoint's id and metrics. Raises JobInterrupted when the job is to be let go, and
    MetaTrainingDiverged, having stored what was learned until then.
    """
    request = MetaTrainingRequest.model_validate(lease.job.request, context=ACCEPTED)
    started = time.monotonic()

    def stored(checkpoint: FrozenCheckpoint, mark: str = "") -> JsonObject:
        name = lease.insist(lambda: backend.store.get_job(lease.job.id)).name  # as it is by now
        marked = f"{name} {mark}".strip() or None
        record = lease.insist(
            lambda: store_checkpoint(backend.store, backend.artifacts, checkpoint, name=marked)
        )
        seconds = time.monotonic() - started
        return {"checkpoint_id": record.id, "seconds": seconds, **checkpoint.manifest.metrics}

    splits = load_dataset(request.dataset, seed=request.seed)
    task = RankTask(
        splits,
        request.config,
        request.seed,
        learner_sampler(request),
        requested_reference(request, splits, lease, backend.settings.data_dir),
    )
    on_step, state_path = _StepReporter(lease), state_folder / "state"
    try:
        if request.resources.ranks > 1:
            checkpoint = meta_train_on_ranks(
                task,
                request.resources,
                on_step=on_step,
                state_path=state_path,
                ray_address=backend.settings.ray_address,
            )
        else:
            checkpoint = meta_train(
                task.splits,
                task.config,
                seed=task.seed,
                on_step=on_step,
                learner_sampler=task.learner_sampler,
                ranking_reference=task.ranking_reference,
                state_path=state_path,
                device=own_device(),
            )
    except MetaTrainingDiverged as error:
        if error.checkpoint is not None:
            lease.result_of_failure = stored(error.checkpoint, "(diverged)")
        raise
    if request.learning_curves:
        checkpoint = _measured(checkpoint, splits, lease)
    return stored(checkpoint)


def _measured(checkpoint: FrozenCheckpoint, splits: DatasetSplits, lease: Lease) -> FrozenCheckpoint:
    """The checkpoint with its learning curves, or without: they are not worth days of meta-training."""
    lease.append_event(EventType.LOG, {"message": "measuring learning curves"})
    try:
        return with_learning_curves(
            checkpoint, splits, device=own_device(), on_learner=lease.raise_if_stopped
        )
    except (RuntimeError, MemoryError, GtnNasError) as error:  # memory, usually; not JobInterrupted
        log.warning("learning curves could not be measured", error=str(error))
        return checkpoint


class _StepReporter:
    """Called after every meta step: reports progress, and leaves by an exception when the job is let go."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._next_event_at = 0.0

    def __call__(self, report: MetaStepReport) -> None:
        self._lease.progress_done = report.step
        notable = report.validation_accuracy is not None or report.step == report.total
        if notable or time.monotonic() >= self._next_event_at:
            self._next_event_at = time.monotonic() + EVENT_SECONDS
            self._lease.append_event("meta_step", asdict(report))
        self._lease.raise_if_stopped()
