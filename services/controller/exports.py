"""From a candidate's stored weights to a file that runs without this package."""

import io
import zipfile
from typing import Literal

from gtn_core import CheckpointManifest
from nas.architecture import Architecture
from nas.export import TrainedNetwork, export_onnx, export_python, export_safetensors, export_torch
from nas.search_spaces import get_search_space
from nas.weights import load_weights
from services.artifacts import ArtifactStore
from services.controller.problems import CONFLICT, Problem
from services.lifecycle import JobKind, JobState
from services.store import CandidateRecord, JsonObject, Store

ExportFormat = Literal["python", "safetensors", "torch_export", "onnx"]


def trained_weights(store: Store, candidate: CandidateRecord) -> str:
    """The artifact of the latest weights. Answers 409 to a candidate that has none."""
    return str(_final_training(store, candidate)["weights"])


def _final_training(store: Store, candidate: CandidateRecord) -> JsonObject:
    """What the latest final training stored. Answers 409 to a candidate that has none."""
    job = store.latest_jobs_of(JobKind.FINAL_TRAINING, [candidate.id], state=JobState.SUCCEEDED).get(
        candidate.id
    )
    if job is None or job.result is None:
        raise Problem(
            CONFLICT,
            f"candidate {candidate.id} has no trained weights: scoring keeps none",
            remedy=f"train it first: POST /v1/candidates/{candidate.id}/retrain, and wait for its end",
        )
    return job.result


def export_trained(
    store: Store,
    artifacts: ArtifactStore,
    candidate: CandidateRecord,
    weights: str,
    format: ExportFormat,  # noqa: A002
) -> bytes:
    """The trained network as a zip archive of Python and weights, or as a single file."""
    search = store.get_job(candidate.search_id, JobKind.SEARCH)
    manifest = CheckpointManifest.model_validate(
        store.get_checkpoint(search.request["checkpoint_id"]).manifest
    )
    config = _final_training(store, candidate).get("config", {})
    space = get_search_space(**(search.request["search_space"] | config.get("space_options", {})))
    architecture = Architecture(candidate.space, candidate.encoding)
    network = space.build(
        architecture, image_shape=manifest.image_shape, num_classes=manifest.num_classes, seed=0
    ).eval()
    load_weights(network, artifacts.get(weights))
    trained = TrainedNetwork(
        space,
        architecture,
        network,
        manifest.image_shape,
        manifest.num_classes,
        manifest.normalization,
        manifest.class_names,
    )
    match format:
        case "python":
            return _zip(export_python(trained))
        case "safetensors":
            return export_safetensors(trained)
        case "torch_export":
            return export_torch(trained)
        case "onnx":
            return export_onnx(trained)


def _zip(files: dict[str, bytes]) -> bytes:
    """An archive whose bytes depend on the files alone: its ETag promises that."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
