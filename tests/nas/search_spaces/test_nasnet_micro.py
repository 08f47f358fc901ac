"""The ENAS/NAO micro space: its JSON, which cells are one network, and what the network computes."""

import json
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gtn_core.errors import InvalidArchitectureError
from nas.architecture import Architecture
from nas.search_spaces import get_search_space, nasnet_micro_cell
from nas.search_spaces.base import SearchSpace
from nas.search_spaces.nasnet_micro_network import OPERATIONS, Cell, FactorizedReduction, Network

CHAIN: list[Any] = [[["conv_3x3", number - 1], ["identity", number - 2]] for number in range(2, 7)]
"""Each node reads the two states before it, so that the last node alone is a loose end."""


@pytest.fixture
def space() -> SearchSpace:
    return get_search_space("nasnet_micro", channels=4)


def architecture(space: SearchSpace, normal: Any = CHAIN, reduce: Any = CHAIN) -> Architecture:
    return space.parse(json.dumps({"normal": normal, "reduce": reduce}))


def changed(node: int, branches: Any) -> list[Any]:
    return [branches if number == node else other for number, other in enumerate(CHAIN, start=2)]


def test_the_encoding_is_a_json_object_in_any_layout(space: SearchSpace) -> None:
    pretty = json.dumps({"reduce": CHAIN, "normal": CHAIN}, indent=2)
    parsed = space.parse(pretty)
    assert parsed == architecture(space)
    assert json.loads(parsed.encoding) == {"normal": CHAIN, "reduce": CHAIN}


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        ("|none~0|", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"normal": []}', 'cells "normal" and "reduce"'),
        (json.dumps({"normal": CHAIN[:4], "reduce": CHAIN}), "cell 'normal' should be a list of 5 nodes"),
        (json.dumps({"normal": CHAIN, "reduce": changed(3, [["identity", 0]])}), "'reduce', node 3: .*two"),
        (json.dumps({"normal": changed(2, [["identity", 0], ["identity", 2]]), "reduce": CHAIN}), "input 2"),
        (json.dumps({"normal": changed(2, [["identity", 0], ["identity", True]]), "reduce": CHAIN}), "true"),
        (json.dumps({"normal": changed(4, [["conv", 0], ["identity", 2]]), "reduce": CHAIN}), '\'?"conv"'),
        (json.dumps({"normal": changed(4, [[["x"], 0], ["identity", 2]]), "reduce": CHAIN}), "unknown op"),
    ],
)
def test_a_bad_encoding_is_refused_by_the_part_that_is_wrong(
    space: SearchSpace, encoding: str, reason: str
) -> None:
    with pytest.raises(InvalidArchitectureError, match=reason):
        space.parse(encoding)


def test_the_space_has_eleven_operations_and_five_nodes(space: SearchSpace) -> None:
    assert len(OPERATIONS) == 11
    assert len(space.domains) == 2 * 5 * 2 * 2, "cells, nodes, branches, input and operation"
    sizes = [len(options) for options in space.domains.values()]
    assert sorted(set(sizes)) == [2, 3, 4, 5, 6, 11]


def test_the_order_of_branches_and_the_numbers_of_nodes_do_not_matter(space: SearchSpace) -> None:
    first = [
        [["conv_3x3", 0], ["identity", 1]],
        [["max_pool_3x3", 1], ["conv_1x1", 1]],
        [["conv_1x1", 2], ["conv_3x3", 3]],
        [["identity", 4], ["identity", 2]],
        [["conv_1x7_7x1", 3], ["identity", 5]],
    ]
    swapped = [
        [["conv_1x1", 1], ["max_pool_3x3", 1]],
        [["identity", 1], ["conv_3x3", 0]],
        [["conv_3x3", 2], ["conv_1x1", 3]],
        [["identity", 3], ["identity", 4]],
        [["identity", 5], ["conv_1x7_7x1", 2]],
    ]
    one, other = (architecture(space, normal=cell) for cell in (first, swapped))
    assert one != other
    assert space.canonical_hash(one) == space.canonical_hash(other)
    assert np.array_equal(space.features(one), space.features(other))
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    outputs = [
        space.build(each, image_shape=(3, 8, 8), num_classes=3, seed=1)(images) for each in (one, other)
    ]
    assert torch.equal(*outputs)


def test_hashes_that_are_stored_stay_what_they_are(space: SearchSpace) -> None:
    stored = "15d41de4fe270afd66945feb9accb7466247629f64a940925912e8c872c4ef87"
    assert space.canonical_hash(architecture(space, CHAIN)) == stored


def test_one_convolution_used_twice_is_not_two_convolutions(space: SearchSpace) -> None:
    once = changed(3, [["conv_3x3", 0], ["conv_3x3", 2]])
    other = changed(3, [["conv_3x3", 1], ["conv_3x3", 2]])
    assert space.canonical_hash(architecture(space, once)) != space.canonical_hash(architecture(space, other))
    # The two inputs are different states.
    assert space.canonical_hash(architecture(space, CHAIN)) != space.canonical_hash(
        architecture(space, changed(2, [["conv_3x3", 0], ["identity", 1]]))
    )


def test_every_neighbour_is_there_once(space: SearchSpace) -> None:
    """Per cell 20 operations with 10 others, and each node's two inputs with 1 to 5 others."""
    neighbours = list(space.neighbours(architecture(space)))
    assert len(set(neighbours)) == len(neighbours) == 2 * (10 * 10 + 2 * (1 + 2 + 3 + 4 + 5))


def test_stages_widths_and_sizes_are_the_papers() -> None:
    """A stem of 3F channels, N cells, reduction, N cells, reduction, N cells; channels double twice."""
    space = get_search_space("nasnet_micro", channels=6, cells_per_stage=2)
    network = space.build(architecture(space), image_shape=(3, 32, 32), num_classes=10, seed=0)
    assert isinstance(network, Network)
    assert [cell.reduces for cell in network.cells] == [False] * 2 + ([True] + [False] * 2) * 2
    shapes: list[tuple[int, ...]] = []
    for module in (network.stem, *network.cells):
        module.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    network(torch.randn(2, 3, 32, 32))
    assert shapes == [(18, 32, 32)] + [(6, 32, 32)] * 2 + [(12, 16, 16)] * 3 + [(24, 8, 8)] * 3
    assert network.auxiliary_module() is network.cells[5]
    depths = {depth for _, depth in network.drop_path_modules()}
    assert sorted(depths) == pytest.approx([number / 8 for number in range(1, 9)]), "each cell, the last at 1"


def test_a_cell_computes_what_its_encoding_says() -> None:
    """Pools and identities alone, so that the sum can be written out."""
    nodes = (
        (("identity", 0), ("max_pool_3x3", 1)),
        (("avg_pool_3x3", 2), ("identity", 2)),
        (("identity", 2), ("identity", 2)),
        (("max_pool_5x5", 1), ("avg_pool_5x5", 0)),
        (("identity", 3), ("identity", 5)),
    )
    cell = Cell(nodes, (2, 2), 2, reduces=False, after_reduction=False)
    assert not list(cell.parameters()), "inputs of the right size and channels need no calibration"
    s0, s1 = torch.randn(2, 1, 2, 6, 6, generator=torch.Generator().manual_seed(0))

    def mean(x: torch.Tensor, size: int) -> torch.Tensor:
        return F.avg_pool2d(x, size, 1, size // 2, count_include_pad=False)

    n2 = s0 + F.max_pool2d(s1, 3, 1, 1)
    n3 = mean(n2, 3) + n2
    n5 = F.max_pool2d(s1, 5, 1, 2) + mean(s0, 5)
    assert torch.allclose(cell(s0, s1), torch.cat([2 * n2, n3 + n5], dim=1)), "loose ends: nodes 4 and 6"


@pytest.mark.parametrize("operation", ["max_pool_2x2", "avg_pool_2x2"])
def test_even_pools_look_at_what_is_there(operation: str) -> None:
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])[None, None]
    expected = {
        "max_pool_2x2": [[5.0, 6.0, 6.0], [8.0, 9.0, 9.0], [8.0, 9.0, 9.0]],
        "avg_pool_2x2": [[3.0, 4.0, 4.5], [6.0, 7.0, 7.5], [7.5, 8.5, 9.0]],
    }[operation]
    assert OPERATIONS[operation](1, 1)(x)[0, 0].tolist() == expected
    assert OPERATIONS[operation](1, 2)(x)[0, 0].tolist() == [row[::2] for row in expected[::2]]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_operations_keep_or_halve_any_size(operation: str, size: int) -> None:
    x = torch.randn(2, 4, size, size)
    assert OPERATIONS[operation](4, 1)(x).shape == (2, 4, size, size)
    assert OPERATIONS[operation](4, 2)(x).shape == (2, 4, -(-size // 2), -(-size // 2))


def test_a_factorized_reduction_leaves_no_pixel_of_the_diagonals_out() -> None:
    reduction = FactorizedReduction(1, 2).eval()
    for convolution in (reduction.even, reduction.odd):
        nn.init.ones_(convolution.weight)
    halved = reduction(torch.arange(16.0).view(1, 1, 4, 4))[0]
    expected = torch.tensor([[[0.0, 2.0], [8.0, 10.0]], [[5.0, 7.0], [13.0, 15.0]]])
    torch.testing.assert_close(halved, expected, rtol=1e-4, atol=0)  # fresh batch norm divides by 1.000005


def test_an_input_that_no_node_reads_is_passed_on_at_the_cells_size() -> None:
    nodes = ((("identity", 1), ("identity", 1)), *(((("identity", n), ("identity", n))) for n in range(2, 6)))
    cell = Cell(nodes, (3, 4), 4, reduces=True, after_reduction=False)
    assert cell.loose == [0, 6]
    assert cell(torch.randn(2, 3, 7, 7), torch.randn(2, 4, 7, 7)).shape == (2, 8, 4, 4)


def test_the_network_can_be_differentiated_twice(space: SearchSpace) -> None:
    """Meta-training draws its learners from search spaces."""
    every = [[[name, 0], [name, 1]] for name in ("max_pool_2x2", "avg_pool_2x2", "max_pool_5x5")]
    every += [[["conv_1x3_3x1", 2], ["conv_1x7_7x1", 3]], [["avg_pool_3x3", 4], ["conv_1x1", 5]]]
    network = space.build(architecture(space, every, every), image_shape=(1, 8, 8), num_classes=3, seed=0)
    images = torch.randn(4, 1, 8, 8, requires_grad=True)
    gradients = torch.autograd.grad(
        network(images).logsumexp(1).sum(), list(network.parameters()), create_graph=True
    )
    (second,) = torch.autograd.grad(sum(gradient.square().sum() for gradient in gradients), images)
    assert second.isfinite().all()
    assert second.abs().sum() > 0


def test_cells_and_network_know_the_same_operations() -> None:
    assert tuple(OPERATIONS) == nasnet_micro_cell.OPERATIONS
