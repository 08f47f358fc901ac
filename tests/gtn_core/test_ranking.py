"""The order that learners are taught to take: exact gradients, and an order that is in fact taken."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from gtn_core import (
    CheckpointError,
    ConvNetSampler,
    DatasetError,
    DatasetSplits,
    MetaTrainingConfig,
    MetaTrainingDiverged,
    RankingReference,
    Split,
    SyntheticCurriculum,
    meta_train,
)
from gtn_core.config import MetaGradientForm, RankingLoss
from gtn_core.outer_loss import final_loss
from gtn_core.randomness import torch_generator
from gtn_core.ranking import RANKING_LOSSES, backward_ranking_loss, pairwise_loss, soft_rank_loss
from gtn_core.ranks import Rank
from gtn_core.real_steps import outer_batch, with_real_steps
from gtn_core.windows import draw_window

WIDTHS = (2, 3, 4, 5, 6)


def changed(config: MetaTrainingConfig, **changes: Any) -> MetaTrainingConfig:
    return MetaTrainingConfig.model_validate(config.model_dump() | changes)


def by_width(
    config: MetaTrainingConfig,
    *,
    scores: tuple[float, ...] = (0.1, 0.3, 0.3, 0.2, 0.9),
    finish: Callable[[nn.Module], nn.Module] = nn.Module.double,
) -> RankingReference:
    def build(index: int, *, image_shape: tuple[int, int, int], num_classes: int, seed: int) -> nn.Module:
        one = changed(config, learner_channels=(WIDTHS[index],))
        return finish(ConvNetSampler(one)(image_shape=image_shape, num_classes=num_classes, seed=seed))

    return RankingReference("widths", scores, build)


def exact_leaves(steps: int = 3) -> SyntheticCurriculum:
    """A float64 curriculum of random images."""
    rng = torch.Generator().manual_seed(0)
    return SyntheticCurriculum(
        images=torch.randn(steps, 10, 1, 8, 8, generator=rng, dtype=torch.float64),
        labels=torch.randn(steps, 10, 10, generator=rng, dtype=torch.float64).softmax(2),
        learning_rates=torch.full((steps,), 0.3, dtype=torch.float64),
        momenta=torch.full((steps,), 0.5, dtype=torch.float64),
    ).detach_as_leaves()


@pytest.fixture
def train(digits: DatasetSplits) -> Split:
    return Split(digits.train.images.double(), digits.train.labels)


def gradients(leaves: SyntheticCurriculum) -> list[Tensor]:
    found = (leaves.images.grad, leaves.learning_rates.grad, leaves.momenta.grad)
    assert all(each is not None for each in found)
    return [each for each in found if each is not None]


@pytest.mark.parametrize("form", get_args(MetaGradientForm))
@pytest.mark.parametrize("kind", get_args(RankingLoss))
@pytest.mark.parametrize("options", [{}, {"window": 2, "real_steps": 2}], ids=["plain", "window_then_real"])
def test_two_passes_give_the_gradient_of_the_joint_graph(
    options: dict[str, Any],
    kind: RankingLoss,
    form: MetaGradientForm,
    train: Split,
    tiny_config: MetaTrainingConfig,
) -> None:
    config = changed(tiny_config, ranking_weight=0.7, ranking_learners=4, ranking_loss=kind, **options)
    reference, seed, step = by_width(config), 5, 2
    leaves = exact_leaves()
    loss = backward_ranking_loss(leaves, train, reference, config, seed=seed, step=step, form=form)

    joint = exact_leaves()
    drawn: list[int] = []
    built: list[nn.Module] = []

    def recorded(index: int, **shape: Any) -> nn.Module:
        drawn.append(index)
        built.append(reference.build(index, **shape))
        return built[-1]

    recording = RankingReference("widths", reference.scores, recorded)
    backward_ranking_loss(exact_leaves(), train, recording, config, seed=seed, step=step)
    members, learners = drawn[:4], built[:4]
    assert drawn[4:] == members, "the second pass meets the same learners"
    assert len(set(members)) == 4
    window = draw_window(config, step, torch_generator(seed, "ranking window", step))
    taught, window = with_real_steps(
        joint, window, train, config, torch_generator(seed, "ranking real steps", step)
    )
    real = outer_batch(train, config, torch_generator(seed, "ranking real", step))
    losses = [final_loss(learner, taught, real, config, window=window) for learner in learners]
    scores = torch.tensor([reference.scores[index] for index in members], dtype=torch.float64)
    expected = RANKING_LOSSES[kind](torch.stack(losses), scores, config.ranking_temperature)
    torch.autograd.backward(0.7 * expected)

    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(gradients(leaves), gradients(joint), strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12)


def test_ranks_share_a_group_and_add_up_to_its_gradient(
    train: Split,
    tiny_config: MetaTrainingConfig,
    on_two_ranks: Callable[[Callable[[Rank], float]], list[float]],
) -> None:
    config = changed(tiny_config, ranking_weight=1.0, ranking_learners=3)
    reference, alone = by_width(config), exact_leaves()
    built: dict[int, nn.Module] = {}  # by the one, for the two: threads share the process's generator

    def build(index: int, **shape: Any) -> nn.Module:
        if index not in built:
            built[index] = reference.build(index, **shape)
        return built[index]

    shared = RankingReference("widths", reference.scores, build)
    loss = backward_ranking_loss(alone, train, shared, config, seed=1, step=0)
    parts = [exact_leaves(), exact_leaves()]

    def work(rank: Rank) -> float:
        part = parts[rank.index]
        return backward_ranking_loss(part, train, shared, config, seed=1, step=0, rank=rank)

    found = on_two_ranks(work)
    assert found == pytest.approx([loss, loss], rel=1e-12)
    for first, second, whole in zip(*map(gradients, (*parts, alone)), strict=True):
        torch.testing.assert_close(first + second, whole, rtol=1e-10, atol=1e-13)


def test_the_pairwise_loss_by_hand() -> None:
    losses, scores = torch.tensor([1.0, 1.2, 0.9]), torch.tensor([3.0, 1.0, 1.0])
    # Pairs that differ: the first beats the second by 0.2 nats, and loses to the third by 0.1.
    by_hand = (math.log(1 + math.exp(-0.2 / 0.1)) + math.log(1 + math.exp(0.1 / 0.1))) / 2
    assert pairwise_loss(losses, scores, 0.1).item() == pytest.approx(by_hand, rel=1e-6)


def test_the_soft_rank_loss_is_one_minus_spearman_when_differences_are_clear() -> None:
    losses, scores = torch.tensor([0.1, 0.5, 0.3, 0.9]), torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert soft_rank_loss(losses, scores, 1e-4).item() == pytest.approx(1 - 0.8, abs=1e-5)
    assert soft_rank_loss(-losses, scores, 1e-4).item() == pytest.approx(1 + 0.8, abs=1e-5)


@pytest.mark.parametrize("kind", get_args(RankingLoss))
def test_scores_that_are_all_equal_teach_nothing(kind: RankingLoss) -> None:
    losses = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    RANKING_LOSSES[kind](losses, torch.ones(3), 0.1).backward()  # type: ignore[no-untyped-call]
    assert losses.grad is not None
    assert losses.grad.tolist() == [0, 0, 0]


def test_a_group_learns_the_order_that_it_is_taught(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    """Also the reverse of the natural order: narrow learners first."""
    config = changed(
        tiny_config,
        ranking_weight=3.0,
        ranking_learners=3,
        meta_steps=40,
        outer_batch_size=64,
        validate_every=0,
        outer_learning_rate=0.02,
    )
    reports: list[float] = []
    meta_train(
        digits,
        config,
        ranking_reference=by_width(config, scores=(0.9, 0.7, 0.5, 0.3, 0.1), finish=nn.Module.float),
        on_step=lambda report: reports.append(report.ranking_loss or math.nan),
    )
    assert sum(reports[-10:]) / 10 < 0.8 * sum(reports[:10]) / 10


def test_without_weight_the_reference_changes_nothing(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    reference = by_width(tiny_config, finish=nn.Module.float)
    assert (
        meta_train(digits, tiny_config, ranking_reference=reference).id == meta_train(digits, tiny_config).id
    )


def test_the_seed_decides_and_the_manifest_tells(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig, tmp_path: Path
) -> None:
    config = changed(tiny_config, ranking_weight=1.0, ranking_learners=3, real_steps=2, meta_steps=2)
    reference = by_width(config, finish=nn.Module.float)
    state = tmp_path / "state"
    first = meta_train(digits, config, seed=1, ranking_reference=reference, state_path=state)
    again = meta_train(digits, config, seed=1, ranking_reference=reference)
    assert first.id == again.id
    assert "taught for the order of widths, 5 architectures" in first.manifest.learner
    other = by_width(config, scores=(0.9, 0.3, 0.3, 0.2, 0.1), finish=nn.Module.float)
    with pytest.raises(CheckpointError, match=r"another run .*ranking reference widths"):
        meta_train(digits, config, seed=1, ranking_reference=other, state_path=state)


def test_a_weight_without_a_reference_is_refused(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    with pytest.raises(DatasetError, match="ranking_weight is 1 and there is no ranking reference"):
        meta_train(digits, changed(tiny_config, ranking_weight=1.0))


@pytest.mark.parametrize("scores", [(), (1.0,), (1.0, 1.0), (1.0, math.nan)])
def test_scores_that_order_nothing_are_refused(
    scores: tuple[float, ...], tiny_config: MetaTrainingConfig
) -> None:
    with pytest.raises(DatasetError, match="at least two different and finite"):
        by_width(tiny_config, scores=scores)


def test_divergence_in_a_group_names_the_architecture(train: Split, tiny_config: MetaTrainingConfig) -> None:
    def poisoned(network: nn.Module) -> nn.Module:
        with torch.no_grad():
            next(network.parameters()).fill_(torch.nan)
        return network.double()

    config = changed(tiny_config, ranking_weight=1.0)
    with pytest.raises(
        MetaTrainingDiverged, match=r"meta step 1: the loss in the ranking group is nan for arch"
    ):
        backward_ranking_loss(
            exact_leaves(), train, by_width(config, finish=poisoned), config, seed=0, step=0
        )
