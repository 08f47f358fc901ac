"""The text of an exported model.py: constants, the network's own source, and how to use it."""

import json
from collections.abc import Sequence
from string import Template

from gtn_core.data import Normalization
from nas.architecture import Architecture
from nas.search_spaces.base import ImageShape

_LINE_LENGTH = 100

_TEMPLATE = Template('''\
"""An image classifier that was found by neural architecture search and trained on real data.

    from model import load, predict

    predict(image)      # {class name: probability}, most probable first
    network = load()    # an nn.Module: normalised images [B, C, H, W] to logits [B, classes]

Needs PyTorch 2.3 or newer, and model.safetensors beside this file; `python model.py` checks that both are
in order.
"""

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

SEARCH_SPACE = $search_space
ARCHITECTURE = $architecture
IMAGE_SHAPE = $image_shape  # channels, height, width
CLASS_NAMES = $class_names
# Per channel, of the pixels that the network was trained on.
MEAN = $mean
STD = $std
# What stored integers are divided by before.
LARGEST: dict[torch.dtype, int] = $largest

WEIGHTS = Path(__file__).with_name("model.safetensors")


def load(path: Path = WEIGHTS) -> nn.Module:
    """The trained network, on the CPU and in evaluation mode."""
    network = build_network()
    tensors, _ = read_safetensors(path)
    network.load_state_dict(tensors)
    return network.eval()


@torch.no_grad()
def predict(image: Tensor) -> dict[str, float]:
    """Probability of each class for an image [C, H, W], of pixels that `normalise` takes."""
    logits = trained_network()(normalise(torch.as_tensor(image)).unsqueeze(0))
    probabilities = dict(zip(CLASS_NAMES, logits.softmax(dim=1)[0].tolist(), strict=True))
    return dict(sorted(probabilities.items(), key=lambda item: -item[1]))


@cache
def trained_network() -> nn.Module:
    """The network that `predict` uses, loaded once."""
    return load()


def normalise(images: Tensor) -> Tensor:
    """Pixels [..., C, H, W] to what the network was trained on.

    They are floating point, in [0, 1] unless the data set itself had other numbers, or of a type in LARGEST.
    """
    if tuple(images.shape[-3:]) != IMAGE_SHAPE:
        raise ValueError(
            f"expected images of shape {IMAGE_SHAPE}, got {tuple(images.shape)}; $cut"
            "reduce them as for training, floating point in a batch [B, C, H, W]: "
            f"torch.nn.functional.interpolate(images, {IMAGE_SHAPE[1:]}, mode='area')"
        )
    if not images.dtype.is_floating_point and images.dtype not in LARGEST:
        known = ", ".join([*map(str, LARGEST), "floating point as the data set has it"])
        raise ValueError(f"expected {known}; got {images.dtype}")
    pixels = images.float() / LARGEST.get(images.dtype, 1)
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (MEAN, STD))
    return (pixels - mean) / std


$network


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata: eight bytes of header size, a JSON header, then the tensors' bytes."""
    content = path.read_bytes()
    body = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:body])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        values, dtype = bytearray(content[body + start : body + end]), TYPES[entry["dtype"]]
        flat = torch.frombuffer(values, dtype=dtype) if values else torch.empty(0, dtype=dtype)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors, metadata


TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8,
    "C64": torch.complex64, "BOOL": torch.bool,
}


def main() -> None:
    """Say what this is, and check that it computes what it computed when it was exported."""
    network = load()
    weights = sum(parameter.numel() for parameter in network.parameters())
    print(f"{SEARCH_SPACE} {ARCHITECTURE}")
    print(f"{weights:,} weights; images {IMAGE_SHAPE}; {len(CLASS_NAMES)} classes")
    print(f"self-check passed: logits within {self_check(network):.1g} of those at export")


@torch.no_grad()
def self_check(network: nn.Module) -> float:
    """How far logits are from those at export; ends the program if that is too far."""
    _, metadata = read_safetensors(WEIGHTS)
    expected = torch.tensor(json.loads(metadata["model"])["check_logits"])
    difference = (network(normalise(check_images())) - expected).abs().max().item()
    if not difference <= 1e-3 * (1 + expected.abs().max().item()):
        raise SystemExit(f"self-check failed: logits are off by {difference:.2g}")
    return difference


def check_images() -> Tensor:
    """Two images of a fixed pattern, float32 [2, C, H, W]."""
    index = torch.arange(2 * math.prod(IMAGE_SHAPE))
    return (index * index % 251).reshape(2, *IMAGE_SHAPE) / 255


if __name__ == "__main__":
    main()
''')


def render_model(
    architecture: Architecture,
    network_source: str,
    image_shape: ImageShape,
    normalization: Normalization,
    class_names: Sequence[str],
) -> str:
    """Source of model.py around `network_source`, which defines `build_network()`."""
    return _TEMPLATE.substitute(
        search_space=_literal(architecture.space),
        architecture=_literal(architecture.encoding),
        image_shape=image_shape,
        cut="cut pictures to their centre square and " if image_shape[1] == image_shape[2] else "",
        class_names=_tuple([_literal(name) for name in class_names]),
        mean=_tuple([repr(value) for value in normalization.mean]),
        std=_tuple([repr(value) for value in normalization.std]),
        largest=_largest(normalization),
        network=network_source.strip(),
    )


def _largest(normalization: Normalization) -> str:
    """What unsigned integers are divided by to be what was trained on, as Python.

    Floating point in other units than [0, 1] is trained on as it is, and so are integers in its place. Below
    zero, as in [-1, 1], none can be told to stand for it.
    """
    if all(map(_within_unit_interval, normalization.mean, normalization.std)):
        return "{torch.uint8: 255, torch.uint16: 65535}"
    if min(normalization.mean) >= 0 and max(normalization.mean) > 1:
        return "{torch.uint8: 1, torch.uint16: 1}"
    return "{}"


def _within_unit_interval(mean: float, std: float) -> bool:
    """Whether numbers from 0 to 1 can have these: none spread more than zeros and ones alone."""
    return 0 <= mean <= 1 and std**2 <= mean * (1 - mean) + 1e-6


def _literal(text: str) -> str:
    """A Python string in double quotes; JSON's escapes are Python's.

    What JSON leaves and is not seen is escaped too: direction marks show source in another order than it has.
    """
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in quoted)


def _tuple(items: list[str]) -> str:
    line = f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    return (
        line if len(line) < _LINE_LENGTH - 20 else "(\n" + "".join(f"    {item},\n" for item in items) + ")"
    )
