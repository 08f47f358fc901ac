"""A trained network as files that need nothing of this package: Python, weights, torch.export, ONNX."""

import copy
import io
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from tempfile import TemporaryDirectory
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gtn_core.data import Normalization
from gtn_core.errors import ExportError
from gtn_core.randomness import seeded_initialisation
from nas.architecture import Architecture
from nas.exported_model import render_model
from nas.search_spaces.base import ImageShape, SearchSpace
from nas.weights import weights_to_bytes


@runtime_checkable
class WritesPython(Protocol):
    """A search space that can write a network's own source."""

    def python_source(self, architecture: Architecture, *, image_shape: ImageShape, num_classes: int) -> str:
        """Define `build_network()`, whose network has the state dict of `SearchSpace.build`'s.

        The names `torch`, `Tensor`, `nn` and `Callable` are imported; nothing else may be needed.
        """
        ...


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A trained network, and all that its user has to know about it."""

    space: SearchSpace
    architecture: Architecture
    network: nn.Module
    image_shape: ImageShape
    num_classes: int
    normalization: Normalization
    class_names: Sequence[str]


def export_python(trained: TrainedNetwork) -> dict[str, bytes]:
    """`model.py` and `model.safetensors`: readable source of this one network, and its weights.

    Raises ExportError when the search space does not write Python, or not that of this network.
    """
    if not isinstance(trained.space, WritesPython):
        raise ExportError(
            f"search space {trained.space.name!r} does not write Python; export safetensors or onnx"
        )
    try:
        source = trained.space.python_source(
            trained.architecture, image_shape=trained.image_shape, num_classes=trained.num_classes
        )
    except Exception as error:  # whatever the code of a plugin raises
        raise ExportError(
            f"search space {trained.space.name!r} cannot write {trained.architecture.encoding!r} as Python: "
            f"its `python_source` raised {error!r}; export safetensors or onnx"
        ) from error
    model = render_model(
        trained.architecture, source, trained.image_shape, trained.normalization, trained.class_names
    )
    files = {"model.py": model.encode(), "model.safetensors": export_safetensors(trained)}
    _check_python(files, trained.architecture)
    return files


def export_safetensors(trained: TrainedNetwork) -> bytes:
    """The state dict; the metadata's key `model` says how to build and feed the network, as JSON."""
    with torch.no_grad():
        pixels = _Normalise(trained.normalization)(_check_images(trained.image_shape))
        logits = _frozen(trained.network)(pixels)
    description = _description(trained) | {"check_logits": logits.tolist()}
    # One key, because safetensors writes several in an order that changes from file to file.
    return weights_to_bytes(trained.network, {"model": json.dumps(description)})


def export_onnx(trained: TrainedNetwork) -> bytes:
    """An ONNX model: `pixels` float32 [B, C, H, W], as the data set has them, to `logits` [B, num_classes].

    Normalisation is part of the graph; names and shapes are in its metadata. Needs the extra `onnx`.
    """
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise ExportError("ONNX export needs the packages onnx and onnxscript: pip install 'gtn-nas[onnx]'")
    with _tracing(trained.architecture):
        program = torch.onnx.export(
            nn.Sequential(_Normalise(trained.normalization), _frozen(trained.network)).eval(),
            (torch.zeros(2, *trained.image_shape),),
            dynamo=True,
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
        assert program is not None  # torch returns None only without dynamo
        shape = program.model.graph.inputs[0].shape
        if shape is None or isinstance(shape[0], int):
            raise RuntimeError("its `forward` depends on how many images there are")
    description = _description(trained)
    for node in program.model.graph:
        node.metadata_props.clear()  # the exporter leaves stack traces with this machine's paths
    program.model.metadata_props.update({key: _text(value) for key, value in description.items()})
    content: bytes = program.model_proto.SerializeToString()
    return content


def export_torch(trained: TrainedNetwork) -> bytes:
    """A `torch.export` program (.pt2): `pixels` float32 [B, C, H, W], as the data set has them, to logits.

    `torch.export.load(file, extra_files={"model.json": ""})` reads it and what is to know about it.
    """
    network = nn.Sequential(_Normalise(trained.normalization), _frozen(trained.network)).eval()
    with _tracing(trained.architecture):
        program = torch.export.export(
            network,
            (torch.zeros(2, *trained.image_shape),),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # with this machine's paths
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={"model.json": json.dumps(_description(trained))})
    return buffer.getvalue()


def _check_python(files: dict[str, bytes], architecture: Architecture) -> None:
    """Run model.py as its user will: a search space may have written another network than it has built."""
    with TemporaryDirectory() as folder, seeded_initialisation(0):
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        try:
            model = run_path(str(Path(folder, "model.py")))
            model["self_check"](model["load"]())
        except (Exception, SystemExit) as error:
            raise ExportError(
                f"the Python of {architecture.encoding!r} does not compute what was trained: {error!r:.500}; "
                "export safetensors or onnx"
            ) from error


@contextmanager
def _tracing(architecture: Architecture) -> Iterator[None]:
    """Whatever PyTorch raises where it cannot follow a network's `forward` becomes an ExportError."""
    try:
        yield
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        told = next(iter(str(cause).strip().splitlines()), repr(cause))
        raise ExportError(
            f"the network of {architecture.encoding!r} cannot be traced: {told}; export python or safetensors"
        ) from error


class _Normalise(nn.Module):
    """Pixels as the data set has them, integers scaled to [0, 1], to what the network was trained on."""

    mean: Tensor
    std: Tensor

    def __init__(self, normalization: Normalization) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(normalization.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(normalization.std)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self.mean) / self.std


def _check_images(image_shape: ImageShape) -> Tensor:
    """The pattern that an exported model.py checks itself with, float32 [2, C, H, W]."""
    index = torch.arange(2 * math.prod(image_shape))
    return (index * index % 251).reshape(2, *image_shape) / 255


def _description(trained: TrainedNetwork) -> dict[str, object]:
    space = trained.space
    return {
        "search_space": {"name": space.name, **space.config.model_dump(mode="json")},
        "architecture": trained.architecture.encoding,
        "image_shape": list(trained.image_shape),
        "num_classes": trained.num_classes,
        "mean": list(trained.normalization.mean),
        "std": list(trained.normalization.std),
        "class_names": list(trained.class_names),
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _frozen(network: nn.Module) -> nn.Module:
    """A copy on the CPU in eval mode; the caller's network stays as it is."""
    return copy.deepcopy(network).cpu().eval()
