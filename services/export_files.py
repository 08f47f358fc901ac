"""A trained network as the bytes of a file, with PyTorch."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.export_formats import ExportFormat
from services.store import JsonObject

if TYPE_CHECKING:
    from nas.export import TrainedNetwork

WEIGHTS = "model.safetensors"
"""The weights' name in an archive."""


@dataclass(frozen=True, slots=True)
class StoredNetwork:
    """A trained network as the store has it, to be built by whoever has PyTorch."""

    search_space: JsonObject
    """Its name and options."""

    encoding: str
    manifest: JsonObject
    """Of the checkpoint whose data set it was trained for."""

    weights: bytes
    """As safetensors."""


def export_file(stored: StoredNetwork, format: ExportFormat) -> bytes:  # noqa: A002
    """The network in the format. Raises ExportError."""
    from nas.export import export_onnx, export_safetensors, export_torch

    trained = _rebuilt(stored)
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


def _rebuilt(stored: StoredNetwork) -> TrainedNetwork:
    from gtn_core import CheckpointManifest
    from gtn_core.config import ACCEPTED
    from nas.export import TrainedNetwork
    from nas.search_spaces import get_search_space
    from nas.weights import load_weights

    manifest = CheckpointManifest.model_validate(stored.manifest, context=ACCEPTED)
    space = get_search_space(**stored.search_space)
    architecture = space.parse(stored.encoding)
    network = space.build(
        architecture, image_shape=manifest.image_shape, num_classes=manifest.num_classes, seed=0
    ).eval()
    load_weights(network, stored.weights)
    return TrainedNetwork(
        space,
        architecture,
        network,
        manifest.image_shape,
        manifest.num_classes,
        manifest.normalization,
        manifest.class_names,
    )
