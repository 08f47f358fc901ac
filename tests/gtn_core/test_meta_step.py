import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import nn

from gtn_core import ConvNetSampler, DatasetSplits, MetaTrainingConfig, Split, train_on_curriculum
from gtn_core.config import AugmentPolicy, CurriculumKind, LabelKind, MetaGradientForm
from gtn_core.evaluation import evaluate
from gtn_core.meta_step import meta_step
from gtn_core.meta_training_state import MetaTrainingState, initial_state
from gtn_core.outer_loss import outer_loss
from gtn_core.randomness import torch_generator
from gtn_core.windows import draw_window

StateMaker = Callable[..., tuple[MetaTrainingState, MetaTrainingConfig]]


@pytest.fixture
def make(digits: DatasetSplits, tiny_config: MetaTrainingConfig) -> StateMaker:
    def make(**options: Any) -> tuple[MetaTrainingState, MetaTrainingConfig]:
        config = MetaTrainingConfig.model_validate(tiny_config.model_dump() | options)
        return initial_state(config, digits, seed=0, device="cpu"), config

    return make


def gradient(state: MetaTrainingState) -> torch.Tensor:
    parts = [parameter.grad for parameter in state.curriculum.parameters()]
    return torch.cat([part.flatten() for part in parts if part is not None])


@pytest.mark.parametrize("form", get_args(MetaGradientForm))
def test_the_meta_gradient_is_the_mean_over_learners_through_the_generator(
    form: MetaGradientForm, make: StateMaker, digits: DatasetSplits
) -> None:
    """Against autograd straight from each learner's outer loss to the weights."""
    state, config = make(learners_per_meta_step=3, clip_factor=1e6)
    one_image = Split(digits.train.images[:1], digits.train.labels[:1])  # every batch is then the same
    learners: list[nn.Module] = []

    def recorded(*, image_shape: tuple[int, int, int], num_classes: int, seed: int) -> nn.Module:
        learner = ConvNetSampler(config)(image_shape=image_shape, num_classes=num_classes, seed=seed)
        learners.append(learner)
        return learner

    real = Split(one_image.images.expand(20, -1, -1, -1), one_image.labels.expand(20))
    start, _ = make(learners_per_meta_step=3)
    outcome = meta_step(state, one_image, recorded, config, seed=0, form=form)

    losses = [outer_loss(each, start.curriculum(torch.Generator()), real, config).loss for each in learners]
    mean_loss = torch.stack(losses).mean()
    torch.autograd.backward(mean_loss)
    assert len(learners) == 3
    assert outcome.loss == pytest.approx(mean_loss.item(), rel=1e-5)
    assert outcome.gradient_norm == pytest.approx(gradient(start).norm().item(), rel=1e-4)
    torch.testing.assert_close(gradient(state), gradient(start), rtol=1e-3, atol=1e-6)


def test_the_outer_loss_weighs_the_learners_way(make: StateMaker, digits: DatasetSplits) -> None:
    def loss(**options: Any) -> float:
        state, config = make(inner_steps=4, **options)
        learner = ConvNetSampler(config)(image_shape=(1, 8, 8), num_classes=10, seed=0)
        synthetic = state.curriculum(torch.Generator())
        return outer_loss(learner, synthetic, digits.validation, config).loss.item()

    last = loss(outer_loss_every=4)
    both = loss(outer_loss_every=2, intermediate_loss_weight=1.0)
    middle = 2 * both - last
    assert loss(outer_loss_every=2, intermediate_loss_weight=0.0) == pytest.approx(last, rel=1e-6)
    assert loss(outer_loss_every=2, intermediate_loss_weight=0.25) == pytest.approx(
        (0.25 * middle + last) / 1.25, rel=1e-5
    )


def test_the_accuracy_is_that_of_the_last_inner_step(make: StateMaker, digits: DatasetSplits) -> None:
    state, config = make(inner_steps=4, outer_loss_every=1, initial_learning_rate=1.0)
    learner = ConvNetSampler(config)(image_shape=(1, 8, 8), num_classes=10, seed=0)
    synthetic = state.curriculum(torch.Generator())
    reported = outer_loss(learner, synthetic, digits.validation, config).accuracy.item()
    train_on_curriculum(learner, synthetic)
    trained = evaluate(learner, digits.validation, batch_size=1000, batch_statistics=True).accuracy
    assert reported == pytest.approx(trained)


def test_the_learning_rate_follows_a_cosine_to_a_tenth(make: StateMaker, digits: DatasetSplits) -> None:
    state, config = make(meta_steps=4, outer_learning_rate=0.01)
    rates = []
    for _ in range(4):
        meta_step(state, digits.train, ConvNetSampler(config), config, seed=0)
        rates.append(state.optimizer.param_groups[0]["lr"])
    by_hand = [0.01 * (0.1 + 0.9 * (1 + math.cos(math.pi * part)) / 2) for part in (0, 0.25, 0.5, 0.75)]
    assert rates == pytest.approx(by_hand)
    assert rates[0] == 0.01


@pytest.mark.parametrize("clip_factor", [0.01, 0.5, 3.0])
def test_a_meta_gradient_is_clipped_against_those_before_it(
    clip_factor: float, make: StateMaker, digits: DatasetSplits
) -> None:
    state, config = make(clip_factor=clip_factor)
    first = meta_step(state, digits.train, ConvNetSampler(config), config, seed=0)
    clipped = min(1, clip_factor) * first.gradient_norm
    assert gradient(state).norm().item() == pytest.approx(clipped, rel=1e-3)
    running = state.running_norm
    assert running == pytest.approx(first.gradient_norm)
    second = meta_step(state, digits.train, ConvNetSampler(config), config, seed=0)
    clipped = min(second.gradient_norm, clip_factor * running)
    assert gradient(state).norm().item() == pytest.approx(clipped, rel=1e-3)
    assert state.running_norm == pytest.approx(0.95 * running + 0.05 * second.gradient_norm)


@pytest.mark.parametrize(("clip_factor", "counted"), [(0.5, 3), (3, 3), (5, 5)])
def test_an_outlier_counts_little_in_the_running_norm(
    clip_factor: float, counted: float, make: StateMaker, digits: DatasetSplits
) -> None:
    state, config = make(clip_factor=clip_factor)
    state.running_norm = 1e-6
    meta_step(state, digits.train, ConvNetSampler(config), config, seed=0)
    assert state.running_norm == pytest.approx((0.95 + 0.05 * counted) * 1e-6)


def test_without_clipping_the_meta_gradient_keeps_its_norm(make: StateMaker, digits: DatasetSplits) -> None:
    state, config = make(gradient_clipping=False, clip_factor=0.01)
    for _ in range(2):
        outcome = meta_step(state, digits.train, ConvNetSampler(config), config, seed=0)
        assert gradient(state).norm().item() == pytest.approx(outcome.gradient_norm, rel=1e-5)


def test_an_augmented_outer_batch_is_another_one(make: StateMaker, digits: DatasetSplits) -> None:
    losses = set()
    for policy in get_args(AugmentPolicy):
        state, config = make(augment=policy)
        losses.add(meta_step(state, digits.train, ConvNetSampler(config), config, seed=0).loss)
    assert len(losses) == 3


def test_learners_of_a_meta_step_meet_real_images_of_their_own(
    make: StateMaker, digits: DatasetSplits
) -> None:
    losses = []
    for learners in (1, 2):
        state, config = make(learners_per_meta_step=learners)
        sampler = ConvNetSampler(config)

        def same(*, seed: int, sampler: ConvNetSampler = sampler, **shape: Any) -> nn.Module:
            return sampler(seed=0, **shape)

        losses.append(meta_step(state, digits.train, same, config, seed=0).loss)
    assert losses[0] != pytest.approx(losses[1])


def test_only_the_steps_of_the_window_are_moved(make: StateMaker, digits: DatasetSplits) -> None:
    state, config = make(inner_steps=6, window=2)
    drawn = draw_window(config, 0, torch_generator(0, "window", 0, 0))
    meta_step(state, digits.train, ConvNetSampler(config), config, seed=0)
    assert state.curriculum.latents.grad is not None
    reached = state.curriculum.latents.grad.abs().sum(dim=(1, 2)) > 0
    assert reached.tolist() == [drawn.start <= step < drawn.stop for step in range(6)]


@pytest.mark.parametrize("labels", get_args(LabelKind))
@pytest.mark.parametrize("kind", get_args(CurriculumKind))
def test_everything_that_is_learned_moves(
    kind: str, labels: str, make: StateMaker, digits: DatasetSplits
) -> None:
    state, config = make(curriculum=kind, labels=labels)
    before = {name: parameter.clone() for name, parameter in state.curriculum.named_parameters()}
    meta_step(state, digits.train, ConvNetSampler(config), config, seed=0)
    for name, parameter in state.curriculum.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_a_schedule_that_is_not_learned_stays(make: StateMaker, digits: DatasetSplits) -> None:
    state, config = make(learned_schedule=False)
    for _ in range(2):
        meta_step(state, digits.train, ConvNetSampler(config), config, seed=0)
    synthetic = state.curriculum(torch.Generator())
    torch.testing.assert_close(synthetic.learning_rates, torch.full((3,), config.initial_learning_rate))
    torch.testing.assert_close(synthetic.momenta, torch.full((3,), config.initial_momentum))
    assert state.curriculum.latents.grad is not None
