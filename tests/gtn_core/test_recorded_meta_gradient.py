"""A meta-gradient that is recorded on a CUDA device; elsewhere the same computation is repeated instead."""

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import nn

from gtn_core import (
    ConvNetSampler,
    DatasetSplits,
    MetaTrainingConfig,
    MetaTrainingDiverged,
    Split,
    meta_train,
)
from gtn_core.config import MetaGradientForm
from gtn_core.meta_gradient import MetaGradient, add_meta_gradient
from gtn_core.meta_step import MetaStepOutcome, meta_step
from gtn_core.meta_training_state import MetaTrainingState, initial_state
from gtn_core.recorded_meta_gradient import RecordedMetaGradient, can_be_recorded

on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=on_cuda)]


def configured(config: MetaTrainingConfig, **options: Any) -> MetaTrainingConfig:
    return MetaTrainingConfig.model_validate(config.model_dump() | options)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("form", get_args(MetaGradientForm))
@pytest.mark.parametrize(
    "options",
    [
        {"learners_per_meta_step": 2, "augment": "crop"},
        {"labels": "soft", "inner_optimizer": "adam", "initial_learning_rate": 0.01},
        {"curriculum": "pixels", "learned_schedule": False, "precision": "bf16"},
    ],
    ids=["two learners", "soft labels and Adam", "pixels"],
)
def test_meta_steps_are_those_that_are_computed_one_by_one(
    options: dict[str, Any],
    form: MetaGradientForm,
    device: str,
    digits: DatasetSplits,
    tiny_config: MetaTrainingConfig,
) -> None:
    """Over several steps: every one has other learners, other real images and other synthetic ones."""
    config = configured(tiny_config, **options)
    train = replace(
        digits.train, images=digits.train.images.to(device), labels=digits.train.labels.to(device)
    )

    def trained(meta_gradient: MetaGradient) -> tuple[list[MetaStepOutcome], MetaTrainingState]:
        state, sampler = initial_state(config, digits, seed=0, device=device), ConvNetSampler(config)
        outcomes = [
            meta_step(state, train, sampler, config, seed=0, form=form, meta_gradient=meta_gradient)
            for _ in range(3)
        ]
        return outcomes, state

    outcomes, state = trained(RecordedMetaGradient())
    expected, plain = trained(add_meta_gradient)
    tolerance = 1e-3 if options.get("precision") == "bf16" or device == "cuda" else 1e-5
    for outcome, other in zip(outcomes, expected, strict=True):
        assert outcome.loss == pytest.approx(other.loss, rel=tolerance)
        assert outcome.accuracy == pytest.approx(other.accuracy, abs=0.02)
        assert outcome.gradient_norm == pytest.approx(other.gradient_norm, rel=10 * tolerance)
    assert len({outcome.loss for outcome in outcomes}) == 3
    # Weights are not compared: Adam makes steps of the rounding of gradients that are zero.
    found, wanted = (each.curriculum(torch.Generator(), shuffle=False) for each in (state, plain))
    torch.testing.assert_close(found.images, wanted.images, rtol=0, atol=0.01)
    torch.testing.assert_close(found.labels, wanted.labels, rtol=0, atol=0.01)
    torch.testing.assert_close(found.learning_rates, wanted.learning_rates, rtol=0.01, atol=0)


def test_a_loss_that_is_not_finite_ends_it_with_all_weights_as_before(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    state, recorded = initial_state(tiny_config, digits, seed=0, device="cpu"), RecordedMetaGradient()

    def step(train: Split) -> MetaStepOutcome:
        sampler = ConvNetSampler(tiny_config)
        return meta_step(state, train, sampler, tiny_config, seed=0, meta_gradient=recorded)

    step(digits.train)
    before = {name: value.clone() for name, value in state.curriculum.state_dict().items()}
    broken = replace(digits.train, images=digits.train.images * float("nan"))
    with pytest.raises(MetaTrainingDiverged, match=r"meta step 2: the outer loss is nan for pooled convnet"):
        step(broken)
    torch.testing.assert_close(dict(state.curriculum.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"curriculum": "all_shuffled"},
        {"curriculum": "none"},
        {"window": 1},
        {"warmup_meta_steps": 2},
        {"real_steps": 1},
        {"ranking_weight": 1.0},
        {"trajectory_weight": 1.0},
        {"learner_width_range": (0.5, 1.0)},
        {"learner_depth_range": (1, 2)},
        {"learner_normalization": "either"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_changes_from_one_meta_step_to_the_next_is_not_recorded(
    options: dict[str, Any], tiny_config: MetaTrainingConfig
) -> None:
    config = configured(tiny_config, **options)
    assert can_be_recorded(tiny_config, ConvNetSampler(tiny_config))
    assert not can_be_recorded(config, ConvNetSampler(config))


def test_learners_of_a_search_space_are_not_recorded(tiny_config: MetaTrainingConfig) -> None:
    def sampler(*, image_shape: tuple[int, int, int], num_classes: int, seed: int) -> nn.Module:
        raise NotImplementedError

    assert not can_be_recorded(tiny_config, sampler)


def test_on_the_cpu_nothing_is_recorded_and_nothing_changes(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    config = configured(tiny_config, meta_steps=2)
    plain = meta_train(digits, config, seed=0)
    asked = meta_train(digits, configured(config, cuda_graphs=True), seed=0)
    assert torch.equal(asked.synthesize().images, plain.synthesize().images)


@pytest.mark.parametrize("device", DEVICES)
def test_colour_images_and_the_layout_of_their_weights_change_nothing(
    device: str, digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    """Without batch norm, which hides the lengths of weights."""
    config = configured(tiny_config, learner_normalization="mean_only")
    grey = digits.train
    colour = Split(grey.images.repeat(1, 3, 1, 1).to(device), grey.labels.to(device))
    splits = replace(digits, train=colour, validation=colour, test=colour)

    def losses(meta_gradient: MetaGradient) -> list[float]:
        state, sampler = initial_state(config, splits, seed=0, device=device), ConvNetSampler(config)
        steps = range(3)
        return [
            meta_step(state, colour, sampler, config, seed=0, form="graph", meta_gradient=meta_gradient).loss
            for _ in steps
        ]

    assert losses(RecordedMetaGradient()) == pytest.approx(losses(add_meta_gradient), rel=1e-3)


@on_cuda
def test_a_recorded_meta_training_learns_what_the_plain_one_does(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    def losses(**options: Any) -> list[float]:
        found: list[float] = []
        config = configured(tiny_config, meta_steps=5, **options)
        meta_train(digits, config, seed=0, device="cuda", on_step=lambda report: found.append(report.loss))
        return found

    assert losses(cuda_graphs=True) == pytest.approx(losses(cuda_graphs=False), rel=1e-2)
