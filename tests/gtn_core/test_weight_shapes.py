"""The list of weights that is told without PyTorch, against the curriculum itself."""

from typing import Any

import pytest
import torch

from gtn_core import LearnedCurriculum, MetaTrainingConfig
from gtn_core.weight_shapes import weight_shapes


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"labels": "soft", "inner_optimizer": "adam"},
        {"curriculum": "none", "generator_weight_normalization": False},
        {"curriculum": "all_shuffled", "generator_channels": (5, 3), "generator_hidden": 7},
        {"curriculum": "pixels", "labels": "soft"},
        {"inner_steps": 3, "batch_size": 4, "latent_size": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("image_shape", [(1, 8, 8), (3, 9, 14)])
def test_it_is_the_state_dict(options: dict[str, Any], image_shape: tuple[int, int, int]) -> None:
    config = MetaTrainingConfig(**options)
    with torch.device("meta"):
        curriculum = LearnedCurriculum(config, image_shape=image_shape, num_classes=6)
    expected = {name: tuple(tensor.shape) for name, tensor in curriculum.state_dict().items()}
    assert weight_shapes(config, image_shape, 6) == expected
