"""A final-training job: one candidate on real data, its weights in the artifact store."""

from dataclasses import asdict
from pathlib import Path

import structlog

from gtn_core.checkpoint import CheckpointManifest
from nas.architecture import Architecture
from nas.export import TrainedNetwork, WritesPython
from nas.final_training import EpochReport, FinalTraining, FinalTrainingConfig, final_train
from nas.search_spaces import get_search_space, with_options
from nas.search_spaces.base import SearchSpace
from nas.slot import own_device
from nas.weights import weights_to_bytes
from services.checkpoints import load_checkpoint, load_checkpoint_data
from services.export_files import python_archive
from services.lease import Lease
from services.lifecycle import JobKind
from services.schemas.requests import RetrainRequest, SearchRequest
from services.store import JsonObject
from services.wiring import Backend

log = structlog.get_logger(__name__)


def run_final_training(lease: Lease, backend: Backend, state_folder: Path) -> JsonObject:
    """Train the candidate on the data of its search's checkpoint, and open their test split at the end.

    An earlier worker's epochs are not repeated. Returns accuracies, history and the digest of the weights.
    Raises JobInterrupted, before the next batch, when the job is to be let go, and ExportError, before the
    first epoch, for a network whose weights could not be stored.
    """
    store, artifacts = backend.store, backend.artifacts
    request = RetrainRequest.model_validate(lease.job.request)
    candidate = lease.insist(lambda: store.get_candidate(lease.job.subject_id or ""))
    search_job = lease.insist(lambda: store.get_job(candidate.search_id, JobKind.SEARCH))
    search = SearchRequest.model_validate(search_job.request)
    checkpoint = load_checkpoint(artifacts, search.checkpoint_id)
    splits = load_checkpoint_data(checkpoint, backend.settings)
    space = get_search_space(search.search_space.name, **search.search_space.options)
    architecture = Architecture(candidate.space, candidate.encoding)
    untrained = with_options(space, request.space_options).build(
        architecture, image_shape=splits.image_shape, num_classes=splits.num_classes, seed=request.seed
    )
    weights_to_bytes(untrained)  # what cannot be stored is told before hours of training

    def on_epoch(report: EpochReport) -> None:
        lease.progress_done = report.epoch
        lease.append_event("epoch", {"done": report.epoch, "total": report.epochs} | asdict(report))
        lease.raise_if_stopped()

    training = final_train(
        space,
        architecture,
        splits,
        FinalTrainingConfig(**request.model_dump(include=set(FinalTrainingConfig.model_fields))),
        seed=request.seed,
        on_epoch=on_epoch,
        on_batch=lease.raise_if_stopped,
        state_path=state_folder / "state",
        device=own_device(),
    )
    return {
        "test_accuracy": training.test_accuracy,
        "test_loss": training.test_loss,
        "validation_accuracy": training.validation_accuracy,
        "history": [asdict(report) for report in training.history],
        "config": training.config.model_dump(mode="json"),
        "seconds": training.seconds,
        "weights": artifacts.put(weights_to_bytes(training.network)),
        **_archived(backend, space, architecture, training, checkpoint.manifest),
    }


def _archived(
    backend: Backend,
    space: SearchSpace,
    architecture: Architecture,
    training: FinalTraining,
    manifest: CheckpointManifest,
) -> JsonObject:
    """The network as it is exported, for a controller that has no PyTorch; nothing if there is no Python.

    The weights are stored by then, and no fault of a search space's Python costs the training.
    """
    if not isinstance(space, WritesPython):
        return {}
    trained = TrainedNetwork(
        with_options(space, training.config.space_options),
        architecture,
        training.network,
        manifest.image_shape,
        manifest.num_classes,
        manifest.normalization,
        manifest.class_names,
    )
    try:
        archive = python_archive(trained)
    except Exception as error:
        log.warning("a trained network has no Python file", space=space.name, error=str(error))
        return {}
    return {"archive": backend.artifacts.put(archive)}
