import subprocess
import sys

import pytest
from torch import nn

from gtn_core import ConvNetSampler, FrozenCheckpoint, LearnedCurriculum, MetaTrainingConfig, UnknownNameError
from gtn_core.learners import ImageShape
from gtn_core.presets import load_preset, preset_names, shipped_checkpoints

SHAPES: dict[str, ImageShape] = {"paper_mnist": (1, 28, 28), "paper_cifar10": (3, 32, 32)}


def built(name: str) -> tuple[MetaTrainingConfig, LearnedCurriculum, nn.Module]:
    config = MetaTrainingConfig.model_validate(load_preset(name))
    short = config.model_copy(update={"inner_steps": 1})
    options = {"image_shape": SHAPES[name], "num_classes": 10}
    return config, LearnedCurriculum(short, **options), ConvNetSampler(config)(**options, seed=0)


def linears_and_convolutions(network: nn.Module) -> list[tuple[int, int]]:
    kinds = (nn.Linear, nn.Conv2d)
    return [tuple(each.weight.shape[:2][::-1]) for each in network.modules() if isinstance(each, kinds)]


def test_the_presets_are_known_by_name() -> None:
    assert preset_names() == ["paper_cifar10", "paper_mnist"]
    with pytest.raises(UnknownNameError, match="unknown preset 'paper'; known: paper_cifar10, paper_mnist"):
        load_preset("paper")


@pytest.mark.parametrize("name", SHAPES)
def test_the_generator_is_the_papers(name: str) -> None:
    _, curriculum, _ = built(name)
    channels, _, width = SHAPES[name]
    coarse = 128 * (width // 4) ** 2
    assert linears_and_convolutions(curriculum.generator) == [
        (128 + 10, 1024),
        (1024, coarse),
        (128, 64),
        (64, channels),
    ]


def test_the_learners_are_the_papers() -> None:
    assert linears_and_convolutions(built("paper_mnist")[2]) == [
        (1, 64), (64, 128), (128 * 7 * 7, 256), (256, 10)
    ]  # fmt: skip
    stage = ["Conv2d", "MaxPool2d", "MeanOnlyBatchNorm", "LeakyReLU"]
    layers = [type(each).__name__.removeprefix("Parametrized") for each in built("paper_mnist")[2].features]
    assert layers == [*stage, *stage, "Flatten"]
    learner = built("paper_cifar10")[2]
    assert linears_and_convolutions(learner) == [
        (3, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 10)
    ]  # fmt: skip
    convolutions = [each for each in learner.modules() if isinstance(each, nn.Conv2d)]
    assert [each.stride[0] for each in convolutions] == [1, 2, 1, 2, 1]


@pytest.mark.parametrize(("name", "steps"), [("paper_mnist", 32), ("paper_cifar10", 128)])
def test_the_schedule_is_the_papers(name: str, steps: int) -> None:
    config, curriculum, _ = built(name)
    assert (config.inner_steps, config.batch_size, config.meta_steps) == (steps, 128, 2000)
    learning_rates, momenta = curriculum.schedule()
    assert learning_rates.tolist() == pytest.approx([0.02])
    assert momenta.tolist() == pytest.approx([0.5])


@pytest.mark.parametrize(
    ("name", "outer_losses", "epsilon"), [("paper_mnist", 32, 1e-8), ("paper_cifar10", 8, 1e-5)]
)
def test_the_outer_optimizer_moves_as_the_papers(name: str, outer_losses: int, epsilon: float) -> None:
    """The mean of outer losses has a gradient that many times smaller than their sum."""
    config, _, _ = built(name)
    assert config.inner_steps / config.outer_loss_every == outer_losses
    assert config.outer_epsilon == pytest.approx(epsilon / outer_losses)
    assert not config.gradient_clipping


def test_naming_a_preset_needs_no_pytorch() -> None:
    code = "import sys, gtn_core.presets as p; p.load_preset('paper_mnist'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_is_shipped_is_whole_and_small() -> None:
    for content in shipped_checkpoints().values():
        checkpoint = FrozenCheckpoint.from_bytes(content)
        assert len(content) <= 8 * 2**20
        assert checkpoint.manifest.learning_curves
        assert checkpoint.synthesize().images.isfinite().all()
