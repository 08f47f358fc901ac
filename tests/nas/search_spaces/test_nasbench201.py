"""The NAS-Bench-201 space: its strings, which of them are one network, and that network."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from gtn_core.errors import InvalidArchitectureError
from nas.search_spaces import get_search_space
from nas.search_spaces.base import SearchSpace
from nas.search_spaces.nasbench201_cell import (
    EDGES,
    OPERATIONS,
    CellOperations,
    format_cell,
    parse_cell,
    reduce_cell,
)
from nas.search_spaces.nasbench201_network import Cell

NONE, SKIP, CONV1, CONV3, POOL = OPERATIONS
CONVOLUTIONS = (CONV1, CONV3)


@pytest.fixture
def space() -> SearchSpace:
    return get_search_space("nasbench201", channels=4, cells_per_stage=1)


def sample(count: int, seed: int = 0) -> list[CellOperations]:
    rng = np.random.default_rng(seed)
    return [tuple(OPERATIONS[i] for i in rng.integers(5, size=6)) for _ in range(count)]


def test_all_strings_round_trip_and_come_down_to_5260_programs() -> None:
    programs = set()
    for operations in product(OPERATIONS, repeat=6):
        encoding = format_cell(operations)
        assert parse_cell(encoding) == operations
        programs.add(str(reduce_cell(operations)))
    assert len(programs) == 5260


def test_the_string_is_the_benchmarks() -> None:
    assert format_cell((CONV3, NONE, SKIP, POOL, CONV1, SKIP)) == (
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
    )


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        ("|none~0|+|none~0|none~1|", "expected 3 nodes"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|", "node 3 should be 3 edge"),
        ("none~0+|none~0|none~1|+|none~0|none~1|none~2|", "node 1 should be 1 edge"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "node 2: expected 'operation~1'"),
        ("|none~0|+|none~0|conv~1|+|none~0|none~1|none~2|", "node 2: unknown operation 'conv'"),
        ("|none|+|none~0|none~1|+|none~0|none~1|none~2|", "node 1: expected 'operation~0', got 'none'"),
    ],
)
def test_a_bad_string_is_refused_by_the_part_that_is_wrong(
    space: SearchSpace, encoding: str, reason: str
) -> None:
    with pytest.raises(InvalidArchitectureError, match=reason):
        space.parse(encoding)


# Edges in the order of the string: 0→1, 0→2, 1→2, 0→3, 1→3, 2→3.
@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (
            (CONV3, CONV1, NONE, NONE, POOL, CONV3),
            (CONV1, CONV3, NONE, NONE, CONV3, POOL),
            "nodes 1, 2 swapped",
        ),
        ((CONV3, NONE, NONE, SKIP, NONE, NONE), (NONE, NONE, NONE, SKIP, NONE, NONE), "node 1 leads nowhere"),
        ((NONE, NONE, CONV3, SKIP, CONV1, POOL), (NONE, NONE, NONE, SKIP, NONE, NONE), "node 1 has no input"),
        ((CONV3, NONE, SKIP, NONE, NONE, SKIP), (NONE, NONE, NONE, CONV3, NONE, NONE), "skips pass it on"),
        ((SKIP, NONE, CONV3, NONE, NONE, CONV1), (NONE, CONV3, NONE, NONE, NONE, CONV1), "a skip before"),
        ((POOL, POOL, NONE, NONE, CONV3, NONE), (NONE, POOL, NONE, NONE, NONE, CONV3), "one live pool"),
        ((POOL, NONE, SKIP, NONE, SKIP, SKIP), (POOL, POOL, NONE, NONE, SKIP, SKIP), "a pool has no weights"),
        ((CONV3, CONV3, CONV3, NONE, NONE, NONE), (NONE,) * 6, "the output has no input"),
    ],
)
def test_isomorphic_cells_share_a_hash_and_a_network(
    space: SearchSpace, one: CellOperations, other: CellOperations, why: str
) -> None:
    first, second = (space.parse(format_cell(operations)) for operations in (one, other))
    assert space.canonical_hash(first) == space.canonical_hash(second), why
    images = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    outputs = [
        space.build(architecture, image_shape=(1, 8, 8), num_classes=10, seed=4)(images)
        for architecture in (first, second)
    ]
    assert torch.equal(*outputs)


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (
            (CONV3, NONE, SKIP, NONE, SKIP, SKIP),
            (CONV3, CONV3, NONE, NONE, SKIP, SKIP),
            "one convolution or two",
        ),
        ((NONE, NONE, NONE, CONV3, NONE, NONE), (NONE, NONE, NONE, CONV1, NONE, NONE), "another kernel"),
        (
            (SKIP, NONE, NONE, SKIP, SKIP, NONE),
            (NONE, NONE, NONE, SKIP, NONE, NONE),
            "twice the input or once",
        ),
        ((CONV3, NONE, POOL, NONE, NONE, SKIP), (POOL, NONE, CONV3, NONE, NONE, SKIP), "another order"),
    ],
)
def test_different_cells_differ_in_hash(
    space: SearchSpace, one: CellOperations, other: CellOperations, why: str
) -> None:
    hashes = [space.canonical_hash(space.parse(format_cell(operations))) for operations in (one, other)]
    assert hashes[0] != hashes[1], why


def test_programs_compute_their_cells() -> None:
    """With the weights of the program's convolutions on the right edges, the literal cell agrees with it.

    Which edge a convolution came from is not kept, so every assignment is tried: exactly what equal hashes
    promise. The reference treats what the input does not reach as zero.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, generator=generator)
    for operations in sample(150):
        cell = Cell(reduce_cell(operations), channels=2).double().eval()
        for parameter in cell.parameters():
            nn.init.normal_(parameter, generator=generator)
        assert any(
            torch.allclose(cell(x), reference) for reference in literal_outputs(operations, cell, x)
        ), format_cell(operations)


def literal_outputs(operations: CellOperations, cell: Cell, x: Tensor) -> list[Tensor]:
    """Outputs of the cell as its string says it, one per assignment of `cell`'s convolutions to edges."""
    convolutions = [
        (step.operation, module)
        for step, module in zip(cell.program.steps, cell.children(), strict=True)
        if step.operation in CONVOLUTIONS
    ]
    edges = [edge for edge, operation in enumerate(operations) if operation in CONVOLUTIONS]
    outputs = []
    for chosen in permutations(edges, len(convolutions)):
        if all(
            operations[edge] == operation for edge, (operation, _) in zip(chosen, convolutions, strict=True)
        ):
            modules = {edge: module for edge, (_, module) in zip(chosen, convolutions, strict=True)}
            outputs.append(literal_output(operations, modules, x))
    return outputs


def literal_output(operations: CellOperations, modules: dict[int, nn.Module], x: Tensor) -> Tensor:
    pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    nodes: list[Tensor | None] = [x, None, None, None]
    for edge, ((source, target), operation) in enumerate(zip(EDGES, operations, strict=True)):
        value = nodes[source]
        if value is None or operation == NONE or (operation in CONVOLUTIONS and edge not in modules):
            continue
        if operation != SKIP:
            value = pool(value) if operation == POOL else modules[edge](value)
        already = nodes[target]
        nodes[target] = value if already is None else already + value
    return torch.zeros_like(x) if nodes[3] is None else nodes[3]


def test_stem_reductions_and_head_are_the_benchmarks(space: SearchSpace) -> None:
    """Written out with the network's own weights, around cells that hand their input on."""
    passing_on = space.parse(format_cell((NONE, NONE, NONE, SKIP, NONE, NONE)))
    network = space.build(passing_on, image_shape=(3, 8, 8), num_classes=10, seed=0)
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def norm(x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, training=True)

    stem, *others = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    x = norm(F.conv2d(images, stem, padding=1))
    for first, second, shortcut in (others[:3], others[3:]):
        convolved = norm(F.conv2d(x.relu(), first, stride=2, padding=1))
        convolved = norm(F.conv2d(convolved.relu(), second, padding=1))
        x = F.conv2d(F.avg_pool2d(x, 2), shortcut) + convolved
    logits = network.head[-1](norm(x).relu().mean(dim=(2, 3)))
    torch.testing.assert_close(network(images), logits, rtol=1e-4, atol=1e-4)


def test_a_disconnected_cell_still_trains_its_head(space: SearchSpace) -> None:
    empty = space.parse(format_cell((NONE,) * 6))
    network = space.build(empty, image_shape=(3, 32, 32), num_classes=10, seed=0)
    logits = network(torch.randn(4, 3, 32, 32))
    assert logits.isfinite().all()
    assert torch.equal(logits[0], logits[1]), "nothing of the image may arrive"
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_dead_edges_have_no_weights(space: SearchSpace) -> None:
    def parameters(operations: CellOperations) -> int:
        network = space.build(
            space.parse(format_cell(operations)), image_shape=(1, 8, 8), num_classes=10, seed=0
        )
        return sum(parameter.numel() for parameter in network.parameters())

    alive = (NONE, NONE, NONE, SKIP, NONE, NONE)
    dead_end = (CONV3, CONV3, CONV3, SKIP, NONE, NONE)
    assert parameters(alive) == parameters(dead_end)


@pytest.mark.parametrize("size", [1, 5, 7, 28])
def test_any_image_size_runs(size: int) -> None:
    space = get_search_space("nasbench201", channels=2, cells_per_stage=2)
    architecture = space.parse(format_cell((CONV3, POOL, CONV1, SKIP, CONV3, POOL)))
    network = space.build(architecture, image_shape=(1, size, size), num_classes=4, seed=0)
    assert network(torch.randn(2, 1, size, size)).shape == (2, 4)


def test_the_network_has_the_benchmarks_size() -> None:
    """Parameters of the all-3x3 cell as the benchmark reports them for CIFAR-10: 1.531546 M."""
    space = get_search_space("nasbench201")
    architecture = space.parse(format_cell((CONV3,) * 6))
    network = space.build(architecture, image_shape=(3, 32, 32), num_classes=10, seed=0)
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_531_546


@pytest.mark.parametrize("option", [{"channels": 0}, {"cells_per_stage": 0}, {"channels": "many"}])
def test_bad_options_are_refused(option: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(option))):
        get_search_space("nasbench201", **option)
