import pytest
import torch

from gtn_core import ConvNetSampler, MetaTrainingConfig
from gtn_core.learners import learner_name

CONFIGS = {
    "pooled": MetaTrainingConfig(learner_channels=(4, 8), learner_hidden=16),
    "pooled, mean only": MetaTrainingConfig(learner_channels=(4, 8), learner_normalization="mean_only"),
    "strided": MetaTrainingConfig(learner="strided", learner_channels=(4, 8, 8)),
    "strided, mean only": MetaTrainingConfig(
        learner="strided", learner_channels=(4,), learner_normalization="mean_only"
    ),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("image_shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 7, 5)])
def test_logits_per_class(config: MetaTrainingConfig, image_shape: tuple[int, int, int]) -> None:
    learner = ConvNetSampler(config)(image_shape=image_shape, num_classes=6, seed=0)
    assert learner(torch.randn(5, *image_shape)).shape == (5, 6)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_seed_alone_decides_the_weights(config: MetaTrainingConfig) -> None:
    def weights(seed: int) -> torch.Tensor:
        learner = ConvNetSampler(config)(image_shape=(1, 8, 8), num_classes=3, seed=seed)
        return torch.cat([parameter.flatten() for parameter in learner.parameters()])

    before = torch.random.get_rng_state()
    first = weights(3)
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator has moved"
    torch.manual_seed(99)
    assert torch.equal(weights(3), first)
    assert not torch.equal(weights(4), first)


def test_weights_are_directions_and_lengths() -> None:
    learner = ConvNetSampler(CONFIGS["pooled"])(image_shape=(1, 8, 8), num_classes=3, seed=0)
    lengths = [name for name, _ in learner.named_parameters() if name.endswith("weight.original0")]
    assert len(lengths) == 4  # two convolutions, two linear layers


def test_learners_have_a_name_that_no_process_changes() -> None:
    def sample(*, image_shape: tuple[int, int, int], num_classes: int, seed: int) -> torch.nn.Module:
        return torch.nn.Identity()

    assert learner_name(ConvNetSampler(CONFIGS["pooled"])) == "pooled convnet, 4/8 channels, 16 hidden units"
    assert learner_name(sample).endswith("sample")
    assert " at 0x" not in learner_name(sample)
