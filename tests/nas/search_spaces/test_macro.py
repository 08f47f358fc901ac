"""Macro spaces: what a description allows, conditional choices, and which stages are one network."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from gtn_core.errors import InvalidArchitectureError
from nas.architecture import Architecture
from nas.drawing import draw_text
from nas.search_spaces import get_search_space, macro_network, with_options
from nas.search_spaces.base import SearchSpace
from nas.search_spaces.macro_description import Block
from nas.search_spaces.macro_network import Network

DESCRIPTION: dict[str, Any] = {
    "stem_channels": 4,
    "stages": [
        {"block": "plain", "depth": [1, 2], "width": 8},
        {"block": ["residual", "inverted_residual"], "depth": [0, 1], "width": [8, 16], "expansion": [2, 3]},
    ],
}


@pytest.fixture
def space() -> SearchSpace:
    return get_search_space("macro", description=DESCRIPTION)


def stage(depth: int, block: str = "plain", width: int = 8, **more: int) -> dict[str, Any]:
    return {"depth": depth, "block": block, "width": width, "kernel_size": 3, "stride": 1, **more}


def architecture(space: SearchSpace, *stages: dict[str, Any]) -> Architecture:
    return space.parse(json.dumps({"stages": stages}))


def every(space: SearchSpace) -> set[Architecture]:
    """All that can be reached from one by neighbours."""
    found = {space.sample(np.random.default_rng(0))}
    waiting = list(found)
    while waiting:
        new = set(space.neighbours(waiting.pop())) - found
        found |= new
        waiting.extend(new)
    return found


def test_single_values_are_no_choices_and_conditions_are_kept(space: SearchSpace) -> None:
    assert dict(space.domains) == {
        "stage1.depth": ["1", "2"],
        "stage2.depth": ["0", "1"],
        "stage2.block": ["residual", "inverted_residual"],
        "stage2.width": ["8", "16"],
        "stage2.expansion": ["2", "3"],
    }
    assert space.choices(architecture(space, stage(1), {"depth": 0})) == {
        "stage1.depth": "1",
        "stage2.depth": "0",
    }
    with_residual = space.choices(architecture(space, stage(1), stage(1, "residual", 16)))
    assert "stage2.expansion" not in with_residual
    with_inverted = space.choices(architecture(space, stage(1), stage(1, "inverted_residual", expansion=3)))
    assert with_inverted["stage2.expansion"] == "3"


def test_neighbours_reach_the_whole_space(space: SearchSpace) -> None:
    """Stage 1 has 2 forms; stage 2 is absent, residual (2 widths) or inverted (2 widths, 2 expansions)."""
    assert len(every(space)) == 2 * (1 + 2 + 4)


def test_neighbours_of_a_stage_that_is_left_out_are_all_forms_of_it(space: SearchSpace) -> None:
    neighbours = set(space.neighbours(architecture(space, stage(1), {"depth": 0})))
    assert len(neighbours) == 1 + (2 + 4)


def test_stages_that_make_the_same_blocks_are_one_network() -> None:
    space = get_search_space(
        "macro", description={"stages": [{"block": "plain", "depth": [0, 1, 2, 3], "width": 8}] * 2}
    )
    one, other = (
        architecture(space, stage(1), stage(2)),
        architecture(space, stage(3), {"depth": 0}),
    )
    assert space.canonical_hash(one) == space.canonical_hash(other)
    assert space.canonical_hash(one) != space.canonical_hash(architecture(space, stage(1), stage(1)))
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    outputs = [
        space.build(each, image_shape=(1, 8, 8), num_classes=3, seed=1)(images) for each in (one, other)
    ]
    assert torch.equal(*outputs)


@pytest.mark.parametrize("kind", Block.__args__)  # type: ignore[attr-defined]
@pytest.mark.parametrize(("size", "stride"), [(8, 1), (8, 2), (7, 2), (1, 2)])
def test_every_block_runs_on_every_size(kind: str, size: int, stride: int) -> None:
    described = {"block": kind, "depth": 2, "width": 6, "kernel_size": 5, "stride": stride, "expansion": 2}
    space = get_search_space("macro", description={"stem_channels": 4, "stages": [described]})
    (only,) = every(space)
    network = space.build(only, image_shape=(2, size, size), num_classes=3, seed=0)
    assert isinstance(network, Network)
    features = network.body(network.stem(torch.randn(2, 2, size, size)))
    assert features.shape == (2, 6, -(-size // stride), -(-size // stride))


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("plain", 4 * 8 * 9 + 16),
        ("depthwise_separable", 4 * 9 + 8 + 4 * 8 + 16),
        ("inverted_residual", 4 * 12 + 24 + 12 * 9 + 24 + 12 * 8 + 16),
        ("residual", 4 * 8 * 9 + 16 + 8 * 8 * 9 + 16 + 4 * 8 + 16),
        ("bottleneck", 4 * 2 + 4 + 2 * 2 * 9 + 4 + 2 * 8 + 16 + 4 * 8 + 16),
    ],
)
def test_blocks_have_the_weights_of_their_papers(kind: str, weights: int) -> None:
    """From 4 to 8 channels, 3x3, expanded to 3 x 4; batch norm has two weights for each channel."""
    block = macro_network.Block(kind, 4, 8, 3, 2, 3)
    assert sum(parameter.numel() for parameter in block.parameters()) == weights


@pytest.mark.parametrize(
    ("kind", "activates"), [("residual", True), ("bottleneck", True), ("inverted_residual", False)]
)
def test_residual_blocks_add_their_input_where_it_fits(kind: str, activates: bool) -> None:
    block = macro_network.Block(kind, 4, 4, 3, 1, 2)
    nn.init.zeros_(block.branch[-1].weight)  # silences the branch
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), x.relu() if activates else x)
    assert macro_network.Block(kind, 4, 4, 3, 2, 2)(x).shape == (2, 4, 3, 3)


def test_depths_widths_and_strides_are_those_of_the_encoding() -> None:
    space = get_search_space("resnet_macro", channels=8)
    first = {"depth": 2, "block": "residual", "width": 16, "kernel_size": 5, "stride": 2}
    last = {"depth": 1, "block": "bottleneck", "width": 32, "kernel_size": 3, "stride": 1}
    network = space.build(
        architecture(space, first, {"depth": 0}, last), image_shape=(3, 16, 16), num_classes=10, seed=0
    )
    assert isinstance(network, Network)
    shapes = [tuple(parameter.shape) for parameter in network.body.parameters() if parameter.dim() == 4]
    assert shapes == [
        *[(16, 8, 5, 5), (16, 16, 5, 5), (16, 8, 1, 1)],  # branch, then the shortcut's projection
        *[(16, 16, 5, 5), (16, 16, 5, 5)],
        *[(8, 16, 1, 1), (8, 8, 3, 3), (32, 8, 1, 1), (32, 16, 1, 1)],
    ]
    assert [depth for _, depth in network.drop_path_modules()] == pytest.approx([1 / 3, 2 / 3, 1])


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        ("nonsense", "is not JSON"),
        ('{"stages": []}', "a list of 2 stages"),
        (json.dumps({"stages": [stage(1), 3]}), "stage 2 is 3, not an object"),
        (json.dumps({"stages": [stage(5), {"depth": 0}]}), "stage 1: depth 5 is not one of: 1, 2"),
        (json.dumps({"stages": [stage(1, width=9), {"depth": 0}]}), "stage 1: width 9 is not one of: 8"),
        (json.dumps({"stages": [stage(True), {"depth": 0}]}), "stage 1: depth True"),
        (
            json.dumps({"stages": [stage(1), stage(0, "residual")]}),
            "stage 2 should have depth; it has depth, b",
        ),
        (json.dumps({"stages": [stage(1), stage(1, "residual", expansion=2)]}), "stage 2 should have depth,"),
    ],
)
def test_a_bad_encoding_is_refused_by_the_part_that_is_wrong(
    space: SearchSpace, encoding: str, reason: str
) -> None:
    with pytest.raises(InvalidArchitectureError, match=reason):
        space.parse(encoding)


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ([], "stages"),
        ([{"depth": 1}], r"stages.0.width"),
        ([{"width": 8, "block": "transformer"}], r"stages.0.block"),
        ([{"width": [8, 8]}], "an option is given twice: 8, 8"),
        ([{"width": 8, "kernel_size": 4}], "4 is even"),
        ([{"width": 8, "depth": []}], "depth"),
        ([{"width": 8, "dept": 1}], "dept"),
    ],
)
def test_a_bad_description_is_refused_by_the_part_that_is_wrong(stages: list[Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        get_search_space("macro", description={"stages": stages})


def test_the_network_is_drawn_stage_by_stage(space: SearchSpace) -> None:
    drawn = draw_text(space, architecture(space, stage(2), stage(1, "inverted_residual", 16, expansion=3)))
    assert "2 plain 3x3 8ch" in drawn
    assert "1 inverted_residual 3x3 16ch" in drawn


def test_widths_of_a_found_network_cannot_be_changed_by_the_space_s_channels() -> None:
    space = get_search_space("resnet_macro", channels=16)
    with pytest.raises(ValidationError, match="encodings of resnet_macro hold what channels gives"):
        with_options(space, {"channels": 32})
    assert with_options(space, {}) is space
