from typing import get_args

import pytest
import torch

from gtn_core import LearnedCurriculum, MetaTrainingConfig, SyntheticCurriculum
from gtn_core.config import CurriculumKind

KINDS = get_args(CurriculumKind)


def make(kind: str, config: MetaTrainingConfig) -> LearnedCurriculum:
    torch.manual_seed(0)
    config = config.model_copy(update={"curriculum": kind})
    return LearnedCurriculum(config, image_shape=(1, 8, 8), num_classes=4)


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_types_and_ranges(kind: str, tiny_config: MetaTrainingConfig) -> None:
    synthetic = make(kind, tiny_config)(rng(0))
    assert synthetic.images.shape == (3, 10, 1, 8, 8)
    assert synthetic.labels.shape == (3, 10, 4)
    assert len(synthetic) == 3
    torch.testing.assert_close(synthetic.learning_rates, torch.full((3,), tiny_config.initial_learning_rate))
    torch.testing.assert_close(synthetic.momenta, torch.full((3,), tiny_config.initial_momentum))


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_one_hot_and_balanced(kind: str, tiny_config: MetaTrainingConfig) -> None:
    labels = make(kind, tiny_config)(rng(0)).labels
    assert torch.equal(labels.sum(dim=2), torch.ones(3, 10))
    assert sorted(labels.sum(dim=(0, 1)).tolist()) == [7, 7, 8, 8]  # 30 samples, 4 classes
    if kind != "all_shuffled":
        assert labels.sum(dim=1).min() == 2
        assert labels.sum(dim=1).max() == 3


@pytest.mark.parametrize("kind", KINDS)
def test_soft_labels_start_near_the_class_of_their_image_and_stay_with_it(
    kind: str, tiny_config: MetaTrainingConfig
) -> None:
    config = tiny_config.model_copy(update={"labels": "soft"})
    curriculum = make(kind, config)
    labels = curriculum(rng(0)).labels
    torch.testing.assert_close(labels.sum(dim=2), torch.ones(3, 10))
    torch.testing.assert_close(labels.amax(dim=2), torch.full((3, 10), 0.9))
    fixed = make(kind, tiny_config)(rng(0)).labels
    assert torch.equal(labels.argmax(dim=2), fixed.argmax(dim=2))


def test_pixels_are_learned_as_they_are_without_a_generator(tiny_config: MetaTrainingConfig) -> None:
    curriculum = make("pixels", tiny_config)
    assert {name for name, _ in curriculum.named_parameters()} == {
        "pixels",
        "schedule.log_learning_rates",
        "schedule.momentum_logits",
    }
    assert torch.equal(curriculum(rng(0)).images, curriculum.pixels)


def test_recomputing_the_generator_changes_no_gradient(tiny_config: MetaTrainingConfig) -> None:
    curriculum = make("full", tiny_config).double()
    kept, recomputed = (
        torch.autograd.grad(
            curriculum(rng(0), recompute=recompute).images.square().sum(),
            list(curriculum.generator.parameters()),
        )
        for recompute in (False, True)
    )
    torch.testing.assert_close(recomputed, kept, rtol=1e-12, atol=1e-12)


def test_full_is_one_fixed_course(tiny_config: MetaTrainingConfig) -> None:
    curriculum = make("full", tiny_config)
    assert torch.equal(curriculum(rng(0)).images, curriculum(rng(1)).images)


def test_shuffled_batches_keeps_batches_whole(tiny_config: MetaTrainingConfig) -> None:
    curriculum = make("shuffled_batches", tiny_config)
    stored = curriculum(rng(0), shuffle=False)
    orders = []
    for seed in range(8):
        shuffled = curriculum(rng(seed))
        order = [
            next(t for t in range(3) if torch.equal(image, stored.images[t])) for image in shuffled.images
        ]
        assert torch.equal(shuffled.labels, stored.labels[order])
        orders.append(tuple(order))
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert len(set(orders)) > 1


def test_all_shuffled_mixes_the_samples_of_all_batches(tiny_config: MetaTrainingConfig) -> None:
    curriculum = make("all_shuffled", tiny_config)
    latents, labels = curriculum._shuffled(rng(3), curriculum.latents, curriculum.labels)
    stored = {
        tuple(row.tolist()) for row in torch.cat([curriculum.latents, curriculum.labels], 2).flatten(0, 1)
    }
    mixed = {tuple(row.tolist()) for row in torch.cat([latents, labels], 2).flatten(0, 1)}
    assert mixed == stored, "every sample once, with its own label"
    assert not any(torch.equal(latents[t], curriculum.latents[t]) for t in range(3))


def test_the_first_latents_have_the_deviation_that_is_asked_for(tiny_config: MetaTrainingConfig) -> None:
    narrow, wide = (
        make("full", tiny_config.model_copy(update={"latent_scale": scale})) for scale in (0.5, 2.0)
    )
    torch.testing.assert_close(wide.latents, 4 * narrow.latents)


def test_none_has_no_latents_and_draws_fresh_noise(tiny_config: MetaTrainingConfig) -> None:
    curriculum = make("none", tiny_config)
    assert "latents" not in dict(curriculum.named_parameters())
    assert not torch.equal(curriculum(rng(0)).images, curriculum(rng(1)).images)
    assert torch.equal(curriculum(rng(1)).images, curriculum(rng(1)).images)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_given_to_the_leaves_reach_everything_that_is_learned(
    kind: str, tiny_config: MetaTrainingConfig
) -> None:
    curriculum = make(kind, tiny_config)
    synthetic = curriculum(rng(0))
    leaves = synthetic.detach_as_leaves()
    loss = (leaves.images**3).sum() + leaves.learning_rates.sum() + leaves.momenta.sum()
    torch.autograd.backward(loss)
    synthetic.backward_from(leaves)
    for name, parameter in curriculum.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_tensors_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="must agree in steps and batch size"):
        SyntheticCurriculum(torch.zeros(3, 2, 1, 8, 8), torch.zeros(2, 2, 4), torch.zeros(3), torch.zeros(3))


@pytest.mark.parametrize("kind", ["full", "all_shuffled", "pixels"])
@pytest.mark.parametrize("recompute", [False, True])
def test_what_a_truncated_unroll_needs_is_the_beginning_of_the_whole(
    tiny_config: MetaTrainingConfig, kind: str, recompute: bool
) -> None:
    curriculum = make(kind, tiny_config.model_copy(update={"labels": "soft", "inner_steps": 4}))
    with torch.no_grad():  # no step has the rates of another
        for each in curriculum.schedule.parameters():
            each.copy_(torch.arange(4.0))
    whole, part = curriculum(rng(1)), curriculum(rng(1), learned=range(1, 3), recompute=recompute)
    assert len(part) == 3
    for name in ("images", "labels", "learning_rates", "momenta"):
        torch.testing.assert_close(getattr(part, name), getattr(whole, name)[:3])
    part.images[1:].sum().backward()
    gradients = [None if each.grad is None else each.grad.clone() for each in curriculum.parameters()]
    curriculum.zero_grad()
    whole.images[1:3].sum().backward()
    for gradient, parameter in zip(gradients, curriculum.parameters(), strict=True):
        assert (gradient is None) == (parameter.grad is None)
        if gradient is not None:
            torch.testing.assert_close(gradient, parameter.grad)
