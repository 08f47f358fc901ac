"""From a candidate's trained weights to a file that runs without this package.

Whoever trained them also stores them as an archive of Python and weights, so that a controller needs PyTorch
for the other formats alone, and for what was trained before there was an archive.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Literal

from services.artifacts import ArtifactStore
from services.lifecycle import JobKind, JobState
from services.store import CandidateRecord, JsonObject, Store

if TYPE_CHECKING:
    from nas.export import TrainedNetwork

ExportFormat = Literal["python", "safetensors", "torch_export", "onnx"]
WEIGHTS = "model.safetensors"
"""The weights' name in an archive."""


def latest_training(store: Store, candidate: CandidateRecord) -> JsonObject | None:
    """What the candidate's latest final training stored; None without one."""
    job = store.latest_jobs_of(JobKind.FINAL_TRAINING, [candidate.id], state=JobState.SUCCEEDED).get(
        candidate.id
    )
    return None if job is None else job.result


def export_trained(
    store: Store,
    artifacts: ArtifactStore,
    candidate: CandidateRecord,
    training: JsonObject,
    format: ExportFormat,  # noqa: A002
) -> bytes:
    """The trained network as a zip archive of Python and weights, or as a single file.

    Raises ExportError, and ModuleNotFoundError where PyTorch is needed and is not there.
    """
    if "archive" in training and format in {"python", "safetensors"}:
        archive = artifacts.get(training["archive"])
        if format == "python":
            return archive
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return opened.read(WEIGHTS)
    from nas.export import export_onnx, export_safetensors, export_torch

    trained = _rebuilt(store, artifacts, candidate, training)
    match format:
        case "python":
            return python_archive(trained)
        case "safetensors":
            return export_safetensors(trained)
        case "torch_export":
            return export_torch(trained)
        case "onnx":
            return export_onnx(trained)


def python_archive(trained: TrainedNetwork) -> bytes:
    """An archive whose bytes depend on the network alone. Raises ExportError when the space has no Python."""
    from nas.export import export_python

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(export_python(trained).items()):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _rebuilt(
    store: Store, artifacts: ArtifactStore, candidate: CandidateRecord, training: JsonObject
) -> TrainedNetwork:
    from gtn_core import CheckpointManifest
    from nas.architecture import Architecture
    from nas.export import TrainedNetwork
    from nas.search_spaces import get_search_space
    from nas.weights import load_weights

    search = store.get_job(candidate.search_id, JobKind.SEARCH)
    manifest = CheckpointManifest.model_validate(
        store.get_checkpoint(search.request["checkpoint_id"]).manifest
    )
    options = training.get("config", {}).get("space_options", {})
    space = get_search_space(**(search.request["search_space"] | options))
    architecture = Architecture(candidate.space, candidate.encoding)
    network = space.build(
        architecture, image_shape=manifest.image_shape, num_classes=manifest.num_classes, seed=0
    ).eval()
    load_weights(network, artifacts.get(training["weights"]))
    return TrainedNetwork(
        space,
        architecture,
        network,
        manifest.image_shape,
        manifest.num_classes,
        manifest.normalization,
        manifest.class_names,
    )
