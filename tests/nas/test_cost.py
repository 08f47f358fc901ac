"""Parameters and FLOPs without weights."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.cost import Cost, network_cost
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
