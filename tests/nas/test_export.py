"""Exported networks compute what the trained ones do, without this package."""

import inspect
import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from safetensors import safe_open
from safetensors.torch import load as load_tensors
from torch import nn

from gtn_core.data import Normalization
from gtn_core.errors import ExportError
from nas.architecture import Architecture
from nas.export import TrainedNetwork, export_onnx, export_python, export_safetensors, export_torch
from nas.search_spaces import get_search_space
from nas.search_spaces.base import ImageShape, SearchSpace

SPACE = get_search_space("nasbench201", channels=4, cells_per_stage=2)
COLOUR: ImageShape = (3, 9, 12)
AWKWARD_NAMES = ('a "quoted" cat', "dog\\\n", "Käse", "\udcff")  # the last: a folder that is not UTF-8

CELLS = [
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|skip_connect~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
]

RUN_ALONE = """
import json, runpy, sys, torch

class OnlyTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"nas", "gtn_core", "services", "safetensors", "pydantic", "ray"}:
            raise ImportError(f"{name} must not be needed")

sys.meta_path.insert(0, OnlyTorch())
request = json.load(sys.stdin)
pixels = torch.tensor(request["pixels"], dtype=torch.uint8)
answers = []
for path in request["paths"]:
    model = runpy.run_path(path)
    model["main"]()
    answers.append([model["load"]()(model["normalise"](pixels)).tolist(), model["predict"](pixels[0])])
print(json.dumps(answers))
"""
"""Runs exported files where nothing of this package, and no package that it needs, can be imported."""


def briefly_trained(architecture: Architecture, image_shape: ImageShape, num_classes: int) -> nn.Module:
    """A network whose running statistics are not those of a fresh one."""
    network = SPACE.build(architecture, image_shape=image_shape, num_classes=num_classes, seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        network(1 + torch.randn(8, *image_shape, generator=generator))
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network


def exported(cell: str = CELLS[0]) -> TrainedNetwork:
    """What there is to export."""
    architecture = SPACE.parse(cell)
    return TrainedNetwork(
        space=SPACE,
        architecture=architecture,
        network=briefly_trained(architecture, COLOUR, len(AWKWARD_NAMES)),
        image_shape=COLOUR,
        num_classes=len(AWKWARD_NAMES),
        normalization=Normalization((0.5, 0.4, 0.3), (0.2, 0.3, 0.25)),
        class_names=AWKWARD_NAMES,
    )


def pixels() -> torch.Tensor:
    return torch.randint(256, (4, *COLOUR), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def expected_logits(network: nn.Module) -> torch.Tensor:
    mean, std = torch.tensor((0.5, 0.4, 0.3)), torch.tensor((0.2, 0.3, 0.25))
    normalised = (pixels() / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        return network.eval()(normalised)


def write(files: dict[str, bytes], folder: Path) -> Path:
    """Write an export; returns its model.py."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / "model.py"


def test_the_python_file_needs_only_torch_and_computes_the_same(tmp_path: Path) -> None:
    networks, paths = [], []
    for number, cell in enumerate(CELLS):
        trained = exported(cell)
        network = trained.network
        files = export_python(trained)
        assert network.training, "exporting must not change the network"
        assert set(files) == {"model.py", "model.safetensors"}
        networks.append(network)
        paths.append(str(write(files, tmp_path / str(number))))
    process = subprocess.run(
        [sys.executable, "-I", "-c", RUN_ALONE],
        input=json.dumps({"pixels": pixels().tolist(), "paths": paths}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    *summaries, answers = process.stdout.splitlines()
    assert [line for line in summaries if line.startswith("nasbench201")] == [
        f"nasbench201 {cell}" for cell in CELLS
    ]
    for network, (logits, prediction) in zip(networks, json.loads(answers), strict=True):
        expected = expected_logits(network)
        assert torch.allclose(torch.tensor(logits), expected, atol=1e-5)
        assert prediction == pytest.approx(
            dict(zip(AWKWARD_NAMES, expected[0].softmax(0).tolist(), strict=True))
        )
        assert list(prediction.values()) == sorted(prediction.values(), reverse=True)


def test_the_self_check_notices_other_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = exported()
    files = export_python(trained)
    runpy.run_path(str(write(files, tmp_path / "good")), run_name="__main__")
    assert "self-check passed" in capsys.readouterr().out
    content = bytearray(files["model.safetensors"])
    header = int.from_bytes(content[:8], "little")
    start, end = json.loads(content[8 : 8 + header])["head.4.bias"]["data_offsets"]
    content[8 + header + start : 8 + header + end] = np.full(4, 0.5, "<f4").tobytes()
    changed = write(files | {"model.safetensors": bytes(content)}, tmp_path / "changed")
    with pytest.raises(SystemExit, match="self-check failed"):
        runpy.run_path(str(changed), run_name="__main__")


def test_the_source_shows_this_cell_alone() -> None:
    trained = exported()
    source = export_python(trained)["model.py"].decode()
    assert "x1 = self.conv1(x)" in source
    assert "$" not in source
    for machinery in ("nas.", "gtn_core", "CellProgram", "pydantic"):
        assert machinery not in source
    assert max(map(len, source.splitlines())) <= 130


def test_many_classes_and_one_channel_are_valid_python() -> None:
    trained = exported()
    names = tuple(f"class number {index}" for index in range(40))
    source = export_python(replace(trained, class_names=names))["model.py"].decode()
    constants: dict[str, Any] = {}
    start, end = source.index("CLASS_NAMES"), source.index("# What stored integers")
    exec(source[start:end], constants)
    assert constants["CLASS_NAMES"] == names
    assert constants["MEAN"] == (0.5, 0.4, 0.3)


def test_what_names_hold_cannot_hide_in_the_source() -> None:
    names = ("\u202e) #", '"""\n', "\x85\u2028\x00", "東京\U0001f600")
    source = export_python(replace(exported(), class_names=names))["model.py"].decode()
    assert all(character.isprintable() or character == "\n" for character in source)
    constants: dict[str, Any] = {}
    start, end = source.index("CLASS_NAMES"), source.index("# Per channel")
    exec(source[start:end], constants)
    assert constants["CLASS_NAMES"] == names


@pytest.mark.parametrize(
    ("unit", "least", "types"),
    [
        (1.0, 0.0, {torch.uint8: 1 / 255, torch.uint16: 1 / 65535, torch.float64: 1.0}),
        (255.0, 0.0, {torch.uint8: 1.0, torch.uint16: 1.0, torch.float32: 1.0}),  # trained on as they are
        (2.0, -1.0, {torch.float32: 1.0}),  # floats of -1 to 1: no integer is one of them
    ],
)
def test_pixels_reach_the_network_as_in_training(
    unit: float, least: float, types: dict[torch.dtype, float], tmp_path: Path
) -> None:
    stored = Normalization(
        (0.5 * unit + least, 0.4 * unit + least, 0.3 * unit + least), (0.2 * unit, 0.3 * unit, 0.25 * unit)
    )
    trained = replace(exported(), normalization=stored)
    for name, content in export_python(trained).items():
        (tmp_path / name).write_bytes(content)
    model = runpy.run_path(str(tmp_path / "model.py"))
    model["main"]()  # its own check
    integers = torch.arange(2 * 3 * 9 * 12).reshape(2, *COLOUR) % 200
    for type_, scale in types.items():
        expected = (integers * scale - torch.tensor(stored.mean)[:, None, None]) / torch.tensor(stored.std)[
            :, None, None
        ]
        torch.testing.assert_close(model["normalise"](integers.to(type_)), expected)
    for type_ in {torch.uint8, torch.uint16, torch.int32} - types.keys():
        with pytest.raises(ValueError, match=f"floating point as the data set has it; got {type_}"):
            model["normalise"](integers.to(type_))


def test_pixels_are_normalised_where_they_are(tmp_path: Path) -> None:
    model = runpy.run_path(str(write(export_python(exported()), tmp_path / "model")))
    images = torch.zeros(2, *COLOUR, device="meta")
    assert model["normalise"](images).device == images.device


def test_a_model_of_reduced_images_tells_how_larger_ones_are_reduced(tmp_path: Path) -> None:
    for name, content in export_python(exported()).items():
        (tmp_path / name).write_bytes(content)
    model = runpy.run_path(str(tmp_path / "model.py"))
    images = torch.rand(2, 3, 18, 24)
    with pytest.raises(ValueError, match=r"got \(2, 3, 18, 24\); reduce them as for training") as told:
        model["normalise"](images)
    reduced = eval("torch" + str(told.value).partition(": torch")[2], {"torch": torch, "images": images})
    torch.testing.assert_close(reduced, torch.nn.functional.avg_pool2d(images, 2))
    model["normalise"](reduced)


def test_only_a_model_of_square_images_asks_for_a_square() -> None:
    square = replace(exported(), image_shape=(3, 8, 8))
    assert "centre square" in export_python(square)["model.py"].decode()
    assert "square" not in export_python(exported())["model.py"].decode()


def test_a_space_that_writes_no_python_is_told(toy_space: SearchSpace) -> None:
    trained = exported()
    with pytest.raises(ExportError, match="'toy' does not write Python; export safetensors or onnx"):
        export_python(replace(trained, space=toy_space))


def test_a_space_that_fails_to_write_one_network_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_this_one(*_given: object, **_options: object) -> str:
        raise NotImplementedError("no source for width 99")

    monkeypatch.setattr(type(SPACE), "python_source", not_this_one)
    with pytest.raises(ExportError, match=r"raised NotImplementedError\('no source.*export safetensors"):
        export_python(exported())


class OddlyBuffered(nn.Module):
    """Logits that depend on buffers of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.tensor([True, False, True, True]))
        self.register_buffer("order", torch.tensor([2, 0, 1, 3], dtype=torch.int32))
        self.register_buffer("scale", torch.tensor(1.5, dtype=torch.bfloat16))
        self.register_buffer("nothing", torch.empty(0, 3))
        self.layer = nn.Linear(4, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.flatten(1)[:, :4] * self.mask
        return self.layer(pixels[:, self.order.long()] * self.scale.float()) + self.nothing.sum()


class WritesOddlyBuffered:
    """A search space's Python of that network, or what a test puts in the place of some of it."""

    name, config = SPACE.name, SPACE.config

    def __init__(self, written: str = "", instead: str = "") -> None:
        source = inspect.getsource(OddlyBuffered) + "\n\ndef build_network():\n    return OddlyBuffered()\n"
        self.source = source.replace(written, instead)

    def python_source(self, *_given: object, **_options: object) -> str:
        return self.source


def test_the_python_file_reads_buffers_of_all_kinds() -> None:
    export_python(replace(exported(), space=WritesOddlyBuffered(), network=OddlyBuffered()))


@pytest.mark.parametrize(
    ("written", "instead", "reason"),
    [
        ("nn.Linear(4, 4)", "nn.Linear(4, 4, bias=False)", r"Unexpected key.*layer\.bias"),
        ("* self.mask", "", "logits are off"),
        ("OddlyBuffered()", "Missing()", "NameError"),
    ],
)
def test_python_of_another_network_is_not_exported(written: str, instead: str, reason: str) -> None:
    space = WritesOddlyBuffered(written, instead)
    with pytest.raises(ExportError, match=f"(?s)does not compute what was trained: .*{reason}"):
        export_python(replace(exported(), space=space, network=OddlyBuffered()))


def test_safetensors_carry_the_state_dict_and_how_to_feed_it(tmp_path: Path) -> None:
    trained = exported()
    network = trained.network
    content = export_safetensors(trained)
    tensors = load_tensors(content)
    assert tensors.keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in tensors.items())
    (tmp_path / "weights").write_bytes(content)
    with safe_open(tmp_path / "weights", "pt") as file:
        description = json.loads(file.metadata()["model"])
    assert description["architecture"] == CELLS[0]
    assert description["search_space"] == {"name": "nasbench201", "channels": 4, "cells_per_stage": 2}
    assert description["class_names"] == list(AWKWARD_NAMES)
    assert description["std"] == [0.2, 0.3, 0.25]
    assert content == export_safetensors(trained), "equal networks are equal files"


def test_onnx_computes_the_same_from_pixels() -> None:
    trained = exported()
    network = trained.network
    model = onnx.load_from_string(export_onnx(trained))
    onnx.checker.check_model(model)
    given = {"pixels": (pixels() / 255).numpy()}
    session = onnxruntime.InferenceSession(export_onnx(trained), providers=["CPUExecutionProvider"])
    for (logits,) in (ReferenceEvaluator(model).run(None, given), session.run(None, given)):
        assert np.allclose(logits, expected_logits(network).numpy(), atol=1e-4)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["architecture"] == CELLS[0]
    assert str(Path(__file__).parents[2]) not in str(model), "paths of this machine"


def test_without_the_extra_onnx_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.export.find_spec", lambda _name: None)
    trained = exported()
    with pytest.raises(ExportError, match=r"pip install 'gtn-nas\[onnx\]'"):
        export_onnx(trained)


class DependsOnValues(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = images.flatten(1)[:, :4]
        return logits * 2 if logits.sum() > 0 else logits


class DependsOnTheirNumber(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = images.flatten(1)[:, :4]
        return logits if len(images) == 1 else logits * 2


@pytest.mark.parametrize("export", [export_torch, export_onnx])
@pytest.mark.parametrize(
    ("network", "reason"),
    [(DependsOnValues, "data-dependent expression"), (DependsOnTheirNumber, "batch|how many images")],
)
def test_a_network_that_cannot_be_traced_is_told(
    export: Callable[[TrainedNetwork], bytes], network: type[nn.Module], reason: str
) -> None:
    untraceable = replace(exported(), network=network())
    with pytest.raises(ExportError, match=f"cannot be traced: .*({reason}).*; export python or safetensors"):
        export(untraceable)


OTHER_SPACES: dict[str, dict[str, Any]] = {
    "nasnet_micro": {"channels": 4},
    "resnet_macro": {"channels": 8},
    "macro": {
        "description": {
            "stages": [
                {"block": "depthwise_separable", "depth": [1, 2], "width": 8},
                {"block": ["inverted_residual", "bottleneck"], "depth": 2, "width": 16, "stride": 2},
            ]
        }
    },
}


def trained_of(name: str, seed: int) -> TrainedNetwork:
    space = get_search_space(name, **OTHER_SPACES[name])
    architecture = space.sample(np.random.default_rng(seed))
    network = space.build(architecture, image_shape=COLOUR, num_classes=len(AWKWARD_NAMES), seed=0)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(20):
        network(1 + torch.randn(8, *COLOUR, generator=generator))
    return replace(exported(), space=space, architecture=architecture, network=network)


def test_every_space_writes_a_file_that_needs_only_torch(tmp_path: Path) -> None:
    trained = [trained_of(name, seed) for name in OTHER_SPACES for seed in range(2)]
    paths = [str(write(export_python(each), tmp_path / f"{number}")) for number, each in enumerate(trained)]
    process = subprocess.run(
        [sys.executable, "-I", "-c", RUN_ALONE],
        input=json.dumps({"pixels": pixels().tolist(), "paths": paths}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answers = json.loads(process.stdout.splitlines()[-1])
    for each, (logits, _) in zip(trained, answers, strict=True):
        assert torch.allclose(torch.tensor(logits), expected_logits(each.network), atol=1e-4)


@pytest.mark.parametrize("name", OTHER_SPACES)
def test_onnx_of_every_space_gives_equal_outputs_in_onnxruntime(name: str) -> None:
    trained = trained_of(name, 0)
    session = onnxruntime.InferenceSession(export_onnx(trained), providers=["CPUExecutionProvider"])
    for count in (1, 4):
        (logits,) = session.run(None, {"pixels": (pixels()[:count] / 255).numpy()})
        assert np.allclose(logits, expected_logits(trained.network)[:count].numpy(), atol=1e-3)


@pytest.mark.parametrize("name", OTHER_SPACES)
def test_torch_export_gives_equal_outputs_without_this_package(name: str, tmp_path: Path) -> None:
    trained = trained_of(name, 0)
    (tmp_path / "model.pt2").write_bytes(content := export_torch(trained))
    script = """
import json, sys, torch
extra = {"model.json": ""}
program = torch.export.load(sys.argv[1], extra_files=extra)
pixels = torch.tensor(json.load(sys.stdin), dtype=torch.float32) / 255
print(json.dumps([program.module()(pixels[:n]).tolist() for n in (1, 4)]), extra["model.json"], sep="\\n")
"""
    process = subprocess.run(
        [sys.executable, "-I", "-c", script, str(tmp_path / "model.pt2")],
        input=json.dumps(pixels().tolist()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    logits, description = map(json.loads, process.stdout.splitlines())
    for count, given in zip((1, 4), logits, strict=True):
        assert torch.allclose(torch.tensor(given), expected_logits(trained.network)[:count], atol=1e-4)
    assert description["architecture"] == trained.architecture.encoding
    assert str(Path(__file__).parents[2]).encode() not in content, "paths of this machine"
