"""Images computed with NumPy are those that learners are taught with."""

from typing import Any

import pytest
import torch
from safetensors.torch import save as save_tensors

from gtn_core import DatasetSplits, FrozenCheckpoint, LearnedCurriculum, MetaTrainingConfig
from gtn_core.checkpoint import freeze
from gtn_core.frozen_images import FrozenImages


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"labels": "soft"},
        {"curriculum": "none"},
        {"curriculum": "pixels"},
        {"curriculum": "all_shuffled", "generator_weight_normalization": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_they_are_those_of_the_curriculum(
    options: dict[str, Any], size: tuple[int, int], digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    checkpoint = make_checkpoint(tiny_config.model_copy(update=options), size, digits)
    expected, images = checkpoint.synthesize(), FrozenImages(checkpoint)

    assert images.classes().tolist() == expected.labels.argmax(dim=2).tolist()
    for step in range(len(expected)):
        torch.testing.assert_close(torch.from_numpy(images.batch(step)).float(), expected.images[step])


def make_checkpoint(
    config: MetaTrainingConfig, size: tuple[int, int], digits: DatasetSplits
) -> FrozenCheckpoint:
    """A curriculum of random weights, norms and biases included, for images of that size."""
    torch.manual_seed(0)
    plain = freeze(
        LearnedCurriculum(config, image_shape=(1, 8, 8), num_classes=10),
        digits,
        config=config,
        seed=3,
        learner="none",
        metrics={},
    )
    curriculum = LearnedCurriculum(config, image_shape=(1, *size), num_classes=10)
    weights = {
        name: tensor if name == "labels" else tensor + 0.3 * torch.randn_like(tensor)
        for name, tensor in curriculum.state_dict().items()
    }
    manifest = plain.manifest.model_copy(update={"image_shape": (1, *size)})
    return FrozenCheckpoint.from_bytes(save_tensors(weights, metadata={"gtn": manifest.model_dump_json()}))
