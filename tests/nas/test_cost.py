"""Parameters and FLOPs without weights."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.cost import Cost, Part, network_cost, network_parts
from nas.search_spaces import get_search_space


def test_a_cost_computed_by_hand() -> None:
    """A cell of one skip, 4 channels, one cell per stage, 8x8 grey images, 10 classes."""
    space = get_search_space("nasbench201", channels=4, cells_per_stage=1)
    skip = space.parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    cost = network_cost(lambda: space.build(skip, image_shape=(1, 8, 8), num_classes=10, seed=0), (1, 8, 8))
    stem = 9 * 1 * 4  # kernel area * inputs * outputs
    first_reduction = 9 * 4 * 8 + 9 * 8 * 8 + 4 * 8
    second_reduction = 9 * 8 * 16 + 9 * 16 * 16 + 8 * 16
    head = 16 * 10
    batch_norms = 2 * (4 + 8 + 8 + 16 + 16 + 16)
    multiply_adds = stem * 8 * 8 + first_reduction * 4 * 4 + second_reduction * 2 * 2 + head
    assert cost == Cost(
        params=stem + first_reduction + second_reduction + head + 10 + batch_norms, flops=2 * multiply_adds
    )


def test_flops_are_those_of_torchs_counter() -> None:
    space = get_search_space("nasbench201", channels=3, cells_per_stage=2)
    rng = np.random.default_rng(0)
    for _ in range(5):
        architecture = space.sample(rng)

        def build(architecture=architecture) -> nn.Module:
            return space.build(architecture, image_shape=(3, 9, 9), num_classes=5, seed=0)

        network = build().eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, 3, 9, 9))
        assert network_cost(build, (3, 9, 9)).flops == counter.get_total_flops()


def test_a_constructor_that_reads_numbers_back_costs_the_same() -> None:
    class Stochastic(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))
            self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]

    plain = network_cost(lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3)), (1, 8, 8))
    assert network_cost(Stochastic, (1, 8, 8)) == plain
    assert sum(part.flops for part in network_parts(Stochastic, (1, 8, 8))) == plain.flops
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        network_cost(Stochastic, (1, 9, 9))


def test_a_cost_depends_on_nothing_that_was_measured_before() -> None:
    class Reads(nn.Module):
        """One of two layers, by a number that its constructor computes."""

        def __init__(self, number: float) -> None:
            super().__init__()
            self.wide = (torch.tensor([number]) + torch.ones(1)).item() > 1
            self.layer = nn.Linear(64, 100 if self.wide else 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.layer(images.flatten(1))

    costs = [network_cost(lambda number=number: Reads(number), (1, 8, 8)).params for number in (1, -1, 1)]
    assert costs == [6500, 65, 6500]
    plain = network_cost(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 100)), (1, 8, 8))
    assert plain.params == 6500


def test_repeated_views_and_in_place_operations_are_counted_each_time() -> None:
    class Awkward(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 8)

        def forward(self, images: Tensor) -> Tensor:
            x = images.flatten(1)
            for _ in range(3):
                x = F.relu(self.linear(x.view(1, 8)).flatten(1), inplace=True)
            return x + torch.zeros(1, 8)

    assert network_cost(Awkward, (2, 2, 2)) == Cost(params=72, flops=3 * 2 * 64)


@pytest.mark.parametrize("name", ["nasbench201", "nasnet_micro", "resnet_macro"])
def test_parts_are_in_order_and_add_up(name: str) -> None:
    space = get_search_space(name)
    rng = np.random.default_rng(0)
    for _ in range(3):
        architecture = space.sample(rng)

        def build(architecture=architecture) -> nn.Module:
            return space.build(architecture, image_shape=(3, 16, 16), num_classes=5, seed=0)

        parts, cost = network_parts(build, (3, 16, 16)), network_cost(build, (3, 16, 16))
        assert Cost(sum(part.params for part in parts), sum(part.flops for part in parts)) == cost
        assert parts[0].name == "stem"
        assert parts[0].input_shape == (3, 16, 16)
        assert (parts[-1].name, parts[-1].output_shape) == ("head", (5,))
        for before, after in itertools.pairwise(parts):
            assert after.input_shape == before.output_shape


def test_what_lies_outside_of_modules_and_what_is_left_out_is_told() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Linear(3, 3)
            self.linear = nn.Linear(4, 2)
            self.scale = nn.Parameter(torch.zeros(2, 2))

        def forward(self, images: Tensor) -> Tensor:
            return self.linear(images.flatten(1)) @ self.scale

    assert network_parts(Network, (1, 2, 2)) == (
        Part("linear", "linear", 10, 2 * 4 * 2, (4,), (2,)),
        Part("unused", "linear", 12, 0, None, None),
        Part("", "elsewhere", 4, 2 * 2 * 2, None, None),
    )
