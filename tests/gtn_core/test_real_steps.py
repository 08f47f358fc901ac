from dataclasses import replace

import pytest
import torch

from gtn_core import ConvNetSampler, DatasetSplits, MetaTrainingConfig, SyntheticCurriculum
from gtn_core.inner_loop import Window, train_on_curriculum, unroll
from gtn_core.real_steps import with_real_steps


@pytest.fixture
def curriculum() -> SyntheticCurriculum:
    return SyntheticCurriculum(
        images=torch.randn(4, 10, 1, 8, 8, generator=torch.Generator().manual_seed(0)),
        labels=torch.full((4, 10, 10), 0.1),
        learning_rates=torch.tensor([0.3, 0.2, 0.1, 0.05]),
        momenta=torch.full((4,), 0.6),
    )


def test_real_batches_follow_the_curriculum_as_gtn_then_real_has_it(
    curriculum: SyntheticCurriculum, digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    config = tiny_config.model_copy(
        update={"real_steps": 3, "real_learning_rate": 0.25, "real_momentum": 0.75}
    )
    rng = torch.Generator().manual_seed(1)
    taught, window = with_real_steps(curriculum, Window(0, 4), digits.train, config, rng)
    assert window == Window(0, 7)
    assert torch.equal(taught.images[:4], curriculum.images)
    assert taught.learning_rates.tolist() == pytest.approx([0.3, 0.2, 0.1, 0.05, 0.25, 0.25, 0.25])
    assert taught.momenta.tolist() == pytest.approx([0.6] * 4 + [0.75] * 3)
    index = torch.randint(len(digits.train), (3, 10), generator=torch.Generator().manual_seed(1))
    assert torch.equal(taught.images[4:], digits.train.images[index])
    assert torch.equal(taught.labels[4:].argmax(2), digits.train.labels[index])

    learner = ConvNetSampler(config)(image_shape=(1, 8, 8), num_classes=10, seed=0)
    end = unroll(learner, taught, window=window)[-1]
    train_on_curriculum(learner, taught)
    for name, parameter in learner.named_parameters():
        torch.testing.assert_close(end[name], parameter, rtol=1e-4, atol=1e-5)


def test_a_window_goes_back_through_real_steps_to_synthetic_ones(
    curriculum: SyntheticCurriculum, digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    config = tiny_config.model_copy(update={"real_steps": 2})
    leaves = curriculum.detach_as_leaves()
    taught, window = with_real_steps(leaves, Window(1, 3), digits.train, config, torch.Generator())
    assert (window, len(taught)) == (Window(1, 5), 5)
    learner = ConvNetSampler(config)(image_shape=(1, 8, 8), num_classes=10, seed=0)
    end = unroll(learner, taught, window=window)[-1]
    torch.autograd.backward(sum(parameter.square().sum() for parameter in end.values()))
    assert leaves.images.grad is not None
    reached = leaves.images.grad.abs().sum(dim=(1, 2, 3, 4)) > 0
    assert reached.tolist() == [False, True, True, False]


def test_without_real_steps_nothing_is_copied(
    curriculum: SyntheticCurriculum, digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    taught, _ = with_real_steps(curriculum, Window(0, 2), digits.train, tiny_config, torch.Generator())
    assert taught is curriculum


def test_batches_of_another_shape_cannot_follow(curriculum: SyntheticCurriculum) -> None:
    other = replace(curriculum, images=torch.zeros(4, 10, 1, 9, 9))
    with pytest.raises(ValueError, match="batches and classes must agree"):
        curriculum.followed_by(other)
