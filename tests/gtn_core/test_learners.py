from functools import partial

import pytest
import torch

from gtn_core import ConvNetSampler, MetaTrainingConfig
from gtn_core.learners import ConvNetShape, learner_name

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

    class Silent:
        __call__ = staticmethod(sample)

    class Shown(Silent):
        def __repr__(self) -> str:
            return "what is shown"

    assert learner_name(ConvNetSampler(CONFIGS["pooled"])) == "pooled convnet, 4/8 channels, 16 hidden units"
    here = "test_learners_have_a_name_that_no_process_changes.<locals>"
    assert learner_name(sample) == learner_name(partial(sample)) == f"{here}.sample"
    fixed = partial(partial(sample, 3, object()), width=8, kind="wide", build=sample)
    assert learner_name(fixed) == f"{here}.sample(3, kind='wide', width=8)"  # no addresses
    assert learner_name(Silent()) == learner_name(partial(Silent())) == f"{here}.Silent"
    assert learner_name(Shown()) == "what is shown"


def shapes(count: int = 300, **options: object) -> list[ConvNetShape]:
    config = MetaTrainingConfig.model_validate({"learner_channels": (8, 16), "learner_hidden": 32, **options})
    return [ConvNetSampler(config).shape(seed) for seed in range(count)]


def test_without_ranges_every_learner_has_one_shape() -> None:
    assert set(shapes()) == {ConvNetShape((8, 16), 32, 2, False, "batch", True)}


def test_widths_depths_and_normalisation_are_drawn_between_their_ends() -> None:
    drawn = shapes(learner_width_range=(0.5, 2.0), learner_depth_range=(1, 3), learner_normalization="either")
    assert {len(shape.channels) for shape in drawn} == {1, 2, 3}
    first = [shape.channels[0] for shape in drawn]
    assert (min(first), max(first)) == (4, 16)
    # Evenly in log scale: half of them below the configured width; four standard deviations of 300 draws.
    assert abs(sum(width < 8 for width in first) / 300 - 0.45) < 0.12
    assert all(shape.channels[2] == shape.channels[1] for shape in drawn if len(shape.channels) == 3)
    assert {shape.normalization for shape in drawn} == {"batch", "mean_only"}
    assert drawn == shapes(
        learner_width_range=(0.5, 2.0), learner_depth_range=(1, 3), learner_normalization="either"
    )


@pytest.mark.parametrize("learner", ["pooled", "strided"])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_drawn_shape_is_the_network_that_is_built(learner: str, depth: int) -> None:
    config = MetaTrainingConfig.model_validate(
        {"learner": learner, "learner_channels": (4, 6), "learner_depth_range": (depth, depth)}
        | {"learner_weight_normalization": False, "learner_pool_size": 3}
    )
    sampler = ConvNetSampler(config)
    network = sampler(image_shape=(3, 9, 9), num_classes=5, seed=1)
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert tuple(each.out_channels for each in convolutions) == sampler.shape(1).channels == (4, 6, 6)[:depth]
    strides = {"pooled": (1, 1, 1), "strided": (1, 2, 1)}[learner]
    assert tuple(each.stride[0] for each in convolutions) == strides[:depth]
    assert not any("parametrizations" in name for name, _ in network.named_parameters())
    assert network(torch.zeros(2, 3, 9, 9)).shape == (2, 5)


def test_a_sampler_of_ranges_says_so() -> None:
    config = MetaTrainingConfig(learner_width_range=(0.5, 2), learner_depth_range=(1, 4))
    assert str(ConvNetSampler(config)).endswith("0.5 to 2 times as wide, 1 to 4 convolutions")
