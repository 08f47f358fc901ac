"""Where real batches would have led a learner: exact gradients towards it, and a distance that shrinks."""

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gtn_core import (
    ConvNetSampler,
    DatasetSplits,
    MetaStepReport,
    MetaTrainingConfig,
    MetaTrainingDiverged,
    Split,
    SyntheticCurriculum,
    meta_train,
    train_on_curriculum,
    unroll,
)
from gtn_core.config import InnerOptimizerName, MetaGradientForm
from gtn_core.inner_loop import Window
from gtn_core.memory import estimate_memory
from gtn_core.meta_step import MetaStepOutcome, meta_step
from gtn_core.meta_training_state import MetaTrainingState, initial_state
from gtn_core.outer_loss import outer_loss
from gtn_core.ranks import ALONE, Rank
from gtn_core.trajectory import expert_batches, expert_weights, trajectory_loss

STEPS, EXPERT_STEPS = 3, 5


def changed(config: MetaTrainingConfig, **changes: Any) -> MetaTrainingConfig:
    return MetaTrainingConfig.model_validate(config.model_dump() | changes)


@pytest.fixture
def config(tiny_config: MetaTrainingConfig) -> MetaTrainingConfig:
    """Its outer losses also look at the middle of a learner's way."""
    matched = {"trajectory_weight": 2.0, "trajectory_steps": EXPERT_STEPS}
    return changed(tiny_config, outer_loss_every=2, **matched)


@pytest.fixture
def train(digits: DatasetSplits) -> Split:
    return Split(digits.train.images.double(), digits.train.labels)


def exact_curriculum(optimizer: InnerOptimizerName = "sgd") -> SyntheticCurriculum:
    """A float64 curriculum of random images, as leaves."""
    rng = torch.Generator().manual_seed(0)
    return SyntheticCurriculum(
        images=torch.randn(STEPS, 10, 1, 8, 8, generator=rng, dtype=torch.float64),
        labels=torch.randn(STEPS, 10, 10, generator=rng, dtype=torch.float64).softmax(2).requires_grad_(),
        learning_rates=torch.tensor([0.3, 0.1, 0.2], dtype=torch.float64),
        momenta=torch.tensor([0.5, 0.9, 0.3], dtype=torch.float64),
        inner_optimizer=optimizer,
    ).detach_as_leaves()


def tensors(curriculum: SyntheticCurriculum) -> tuple[Tensor, ...]:
    return curriculum.images, curriculum.labels, curriculum.learning_rates, curriculum.momenta


def convnet() -> nn.Module:
    sampler = ConvNetSampler(MetaTrainingConfig(learner_channels=(2,), learner_hidden=4))
    return sampler(image_shape=(1, 8, 8), num_classes=10, seed=0).double()


class LikeACell(nn.Module):
    """What search spaces build: standard batch norm, and parameters that the loss never reaches."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 10))
        self.unused = nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.used(images)
        return logits


LEARNERS: dict[str, Callable[[], nn.Module]] = {
    "convnet": convnet,
    "like a cell": lambda: LikeACell().double(),
}


@pytest.mark.parametrize("optimizer", get_args(InnerOptimizerName))
@pytest.mark.parametrize("make_learner", LEARNERS.values(), ids=LEARNERS.keys())
def test_every_form_gives_the_distance_between_two_trainings_and_one_gradient(
    make_learner: Callable[[], nn.Module],
    optimizer: InnerOptimizerName,
    train: Split,
    config: MetaTrainingConfig,
) -> None:
    learner, curriculum = make_learner(), exact_curriculum(optimizer)
    config = changed(config, real_learning_rate=0.05, real_momentum=0.7)
    expected = distance_by_training(learner, curriculum, real_images(train, config, optimizer))
    whole, *others = (
        distance_and_gradients(learner, curriculum, train, config, form)
        for form in get_args(MetaGradientForm)
    )
    assert whole[0].item() == pytest.approx(expected, rel=1e-9)
    for each in others:
        torch.testing.assert_close(each, whole, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("make_learner", LEARNERS.values(), ids=LEARNERS.keys())
def test_the_gradient_is_that_of_finite_differences(
    make_learner: Callable[[], nn.Module], train: Split, config: MetaTrainingConfig
) -> None:
    """Of SGD: Adam's steps bend too much where a bias before batch norm has no gradient but rounding."""
    learner, curriculum = make_learner(), exact_curriculum()
    _, *gradients = distance_and_gradients(learner, curriculum, train, config, "graph")
    rng = torch.Generator().manual_seed(0)
    for tensor, gradient in zip(tensors(curriculum), gradients, strict=True):
        direction = torch.randn(tensor.shape, generator=rng, dtype=torch.float64)
        direction += gradient * direction.norm() / gradient.norm()  # far from orthogonal to it
        expected = directional_derivative(
            lambda: distance_by_training(learner, curriculum, real_images(train, config)), tensor, direction
        )
        assert (gradient * direction).sum().item() == pytest.approx(expected, rel=1e-5)


def distance_and_gradients(
    learner: nn.Module,
    curriculum: SyntheticCurriculum,
    train: Split,
    config: MetaTrainingConfig,
    form: MetaGradientForm,
) -> tuple[Tensor, ...]:
    batches = expert_batches(curriculum, Window(0, STEPS), train, config, torch.Generator().manual_seed(0))
    found = outer_loss(learner, curriculum, train, config, form=form, expert=batches).trajectory_loss
    assert found is not None
    return found.detach(), *torch.autograd.grad(found, tensors(curriculum))


def distance_by_training(
    learner: nn.Module, curriculum: SyntheticCurriculum, real: SyntheticCurriculum
) -> float:
    """From copies of the learner that are trained in place, which knows nothing of the unroll."""
    start = nn.utils.parameters_to_vector(learner.parameters()).detach()
    expert, reached = weights_after(learner, real), weights_after(learner, curriculum)
    return ((reached - expert).square().sum() / (start - expert).square().sum()).item()


def weights_after(learner: nn.Module, curriculum: SyntheticCurriculum) -> Tensor:
    """All weights of a copy that is trained in place."""
    trained = copy.deepcopy(learner)
    train_on_curriculum(trained, curriculum)
    return nn.utils.parameters_to_vector(trained.parameters()).detach()


def real_images(
    train: Split, config: MetaTrainingConfig, optimizer: InnerOptimizerName = "sgd"
) -> SyntheticCurriculum:
    """The expert's batches, drawn and put together here."""
    index = torch.randint(len(train), (EXPERT_STEPS, 10), generator=torch.Generator().manual_seed(0))
    return SyntheticCurriculum(
        images=train.images[index],
        labels=F.one_hot(train.labels[index], 10).double(),
        learning_rates=torch.full((EXPERT_STEPS,), config.real_learning_rate, dtype=torch.float64),
        momenta=torch.full((EXPERT_STEPS,), config.real_momentum, dtype=torch.float64),
        inner_optimizer=optimizer,
    )


def directional_derivative(value: Callable[[], float], tensor: Tensor, direction: Tensor) -> float:
    """By central differences of fourth order."""
    start, h = tensor.detach().clone(), 1e-6

    def value_at(distance: float) -> float:
        tensor.data = start + distance * direction
        found = value()
        tensor.data = start
        return found

    return (8 * (value_at(h) - value_at(-h)) - (value_at(2 * h) - value_at(-2 * h))) / (12 * h)


def test_the_distance_by_hand() -> None:
    learner = nn.Linear(2, 1)
    with torch.no_grad():
        learner.weight.copy_(torch.tensor([[1.0, 2.0]]))
        learner.bias.copy_(torch.tensor([0.0]))
    expert = {"weight": torch.tensor([[3.0, 2.0]]), "bias": torch.tensor([1.0])}  # 2 and 1 away: 5
    reached = {"weight": torch.tensor([[2.0, 4.0]]), "bias": torch.tensor([1.0])}  # 1 and 2 from there: 5
    nearer = {"weight": torch.tensor([[3.0, 2.0]]), "bias": torch.tensor([0.5])}
    assert trajectory_loss(learner, reached, expert).item() == 1
    assert trajectory_loss(learner, nearer, expert).item() == pytest.approx(0.25 / 5)
    assert trajectory_loss(learner, expert, expert).item() == 0
    still = {name: parameter.detach() for name, parameter in learner.named_parameters()}
    assert trajectory_loss(learner, still, still).item() == 0


@pytest.mark.parametrize("form", get_args(MetaGradientForm))
@pytest.mark.parametrize("optimizer", get_args(InnerOptimizerName))
@pytest.mark.parametrize("make_learner", LEARNERS.values(), ids=LEARNERS.keys())
def test_a_learner_that_is_taught_with_the_experts_batches_ends_where_it_does(
    make_learner: Callable[[], nn.Module],
    optimizer: InnerOptimizerName,
    form: MetaGradientForm,
    train: Split,
    config: MetaTrainingConfig,
) -> None:
    batches = expert_batches(
        exact_curriculum(optimizer), Window(0, STEPS), train, config, torch.Generator().manual_seed(0)
    )
    assert batches is not None
    leaves = batches.detach_as_leaves()
    found = outer_loss(make_learner(), leaves, train, config, form=form, expert=batches).trajectory_loss
    assert found is not None
    assert found.item() < 1e-20


def test_an_expert_takes_the_share_of_its_steps_that_its_learner_takes(
    train: Split, config: MetaTrainingConfig
) -> None:
    def steps(inside: Window, **options: int) -> int:
        longer = changed(config, inner_steps=8, trajectory_steps=20, **options)
        batches = expert_batches(exact_curriculum(), inside, train, longer, torch.Generator())
        assert batches is not None
        return len(batches)

    assert steps(Window(0, 8)) == 20
    assert steps(Window(0, 4)) == 10
    assert steps(Window(2, 5), window=3) == 13  # 12.5, rounded up
    assert steps(Window(0, 1)) == 3
    assert steps(Window(0, 10), real_steps=2) == 20  # all of them: 8 synthetic ones, then 2
    assert steps(Window(0, 6), real_steps=2) == 12


def test_a_window_stops_the_gradient_where_it_starts(train: Split, config: MetaTrainingConfig) -> None:
    leaves, inside = exact_curriculum(), Window(1, 2)
    batches = expert_batches(leaves, inside, train, config, torch.Generator().manual_seed(0))
    found = outer_loss(convnet(), leaves, train, config, window=inside, expert=batches).trajectory_loss
    assert found is not None
    (gradient,) = torch.autograd.grad(found, leaves.images)
    assert (gradient.abs().sum(dim=(1, 2, 3, 4)) > 0).tolist() == [False, True, False]


def test_an_expert_leaves_its_learner_alone(train: Split, config: MetaTrainingConfig) -> None:
    learner, leaves = LikeACell().double(), exact_curriculum()
    before = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    batches = expert_batches(leaves, Window(0, STEPS), train, config, torch.Generator())
    found = outer_loss(learner, leaves, train, config, expert=batches).trajectory_loss
    assert found is not None
    torch.autograd.backward(found)
    torch.testing.assert_close(dict(learner.state_dict()), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in learner.parameters())
    assert batches is not None
    assert not any(each.requires_grad for each in expert_weights(learner, batches).values())


def take(
    digits: DatasetSplits, config: MetaTrainingConfig, train: Split | None = None, **options: Any
) -> tuple[MetaTrainingState, MetaStepOutcome]:
    state = initial_state(config, digits, seed=0, device="cpu")
    options.setdefault("sampler", ConvNetSampler(config))
    return state, meta_step(state, train or digits.train, config=config, seed=0, **options)


def gradient(state: MetaTrainingState) -> Tensor:
    parts = [parameter.grad for parameter in state.curriculum.parameters()]
    return torch.cat([part.flatten() for part in parts if part is not None])


@pytest.mark.parametrize("form", get_args(MetaGradientForm))
def test_a_meta_step_adds_the_weighted_distance_of_each_learner(
    form: MetaGradientForm, digits: DatasetSplits, config: MetaTrainingConfig
) -> None:
    """Against autograd straight from each learner's objective to the weights."""
    config = changed(config, learners_per_meta_step=2, clip_factor=1e6)
    one_image = Split(digits.train.images[:1], digits.train.labels[:1])  # every batch is then the same
    learners: list[nn.Module] = []

    def recorded(**shape: Any) -> nn.Module:
        learners.append(ConvNetSampler(config)(**shape))
        return learners[-1]

    state, outcome = take(digits, config, one_image, sampler=recorded, form=form)

    start = initial_state(config, digits, seed=0, device="cpu")
    synthetic = start.curriculum(torch.Generator())
    real = Split(one_image.images.expand(20, -1, -1, -1), one_image.labels.expand(20))
    expert = real_images(one_image, config).to("cpu", torch.float32)
    losses, distances = [], []
    for learner in learners:
        aim = weights_after(learner, expert)
        reached = torch.cat([each.flatten() for each in unroll(learner, synthetic)[-1].values()])
        begun = torch.cat([each.detach().flatten() for each in learner.parameters()])
        distances.append((reached - aim).square().sum() / (begun - aim).square().sum())
        losses.append(outer_loss(learner, synthetic, real, config).loss)
    loss, distance = torch.stack(losses).mean(), torch.stack(distances).mean()
    torch.autograd.backward(loss + 2 * distance)
    assert len(learners) == 2
    assert outcome.loss == pytest.approx(loss.item(), rel=1e-5)
    assert outcome.trajectory_loss == pytest.approx(distance.item(), rel=1e-4)
    torch.testing.assert_close(gradient(state), gradient(start), rtol=1e-3, atol=1e-5)


def test_every_expert_draws_its_own_batches_by_the_seed(
    digits: DatasetSplits, config: MetaTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Tensor] = []

    def recorded(*arguments: Any) -> SyntheticCurriculum | None:
        batches = expert_batches(*arguments)
        assert batches is not None
        drawn.append(batches.images)
        return batches

    monkeypatch.setattr("gtn_core.meta_gradient.expert_batches", recorded)
    config = changed(config, learners_per_meta_step=2)

    def images_of_two_meta_steps(seed: int) -> list[Tensor]:
        drawn.clear()
        state = initial_state(config, digits, seed=0, device="cpu")
        for _ in range(2):
            meta_step(state, digits.train, ConvNetSampler(config), config, seed=seed)
        return list(drawn)

    first, again, other = map(images_of_two_meta_steps, (0, 0, 1))
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not any(torch.equal(*pair) for pair in itertools.combinations([*first, *other], 2))


def test_ranks_share_learners_and_their_experts(
    digits: DatasetSplits,
    config: MetaTrainingConfig,
    on_two_ranks: Callable[[Callable[[Rank], MetaStepOutcome]], list[MetaStepOutcome]],
) -> None:
    config = changed(config, learners_per_meta_step=3)
    built: dict[int, nn.Module] = {}  # by the one, for the two: threads share the process's generator

    def sampler(**shape: Any) -> nn.Module:
        if shape["seed"] not in built:
            built[shape["seed"]] = ConvNetSampler(config)(**shape)
        return built[shape["seed"]]

    whole, alone = take(digits, config, sampler=sampler, rank=ALONE)
    states = [initial_state(config, digits, seed=0, device="cpu") for _ in range(2)]

    def work(rank: Rank) -> MetaStepOutcome:
        return meta_step(states[rank.index], digits.train, sampler, config, seed=0, rank=rank)

    outcomes = on_two_ranks(work)
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].trajectory_loss == pytest.approx(alone.trajectory_loss, rel=1e-6)
    torch.testing.assert_close(gradient(states[0]), gradient(whole), rtol=1e-3, atol=1e-5)


def test_meta_training_brings_learners_nearer_to_their_experts(
    digits: DatasetSplits, config: MetaTrainingConfig
) -> None:
    config = changed(config, trajectory_weight=5.0, meta_steps=60, validate_every=0, outer_learning_rate=0.02)
    reports: list[MetaStepReport] = []
    meta_train(digits, config, on_step=reports.append)
    distances = [report.trajectory_loss for report in reports if report.trajectory_loss is not None]
    assert len(distances) == 60
    assert sum(distances[-10:]) < 0.8 * sum(distances[:10])


def test_without_weight_there_is_no_expert_and_nothing_changes(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    reports: list[MetaStepReport] = []
    plain = meta_train(digits, tiny_config).synthesize()
    other_steps = changed(tiny_config, trajectory_steps=7)
    again = meta_train(digits, other_steps, on_step=reports.append).synthesize()
    assert all(torch.equal(*pair) for pair in zip(tensors(plain), tensors(again), strict=True))
    assert {report.trajectory_loss for report in reports} == {None}
    unmatched = (exact_curriculum(), Window(0, STEPS), digits.train, other_steps, torch.Generator())
    assert expert_batches(*unmatched) is None


def test_the_seed_decides_and_a_stopped_run_goes_on(
    digits: DatasetSplits, config: MetaTrainingConfig, tmp_path: Path
) -> None:
    class Stopped(Exception):  # noqa: N818 - what a caller raises to stop a run
        pass

    def stop(report: MetaStepReport) -> None:
        if report.step == 3:
            raise Stopped

    config = changed(config, window=2, real_steps=1, warmup_meta_steps=2)
    whole = meta_train(digits, config, seed=1)
    with pytest.raises(Stopped):
        meta_train(digits, config, seed=1, state_path=tmp_path / "state", on_step=stop)
    assert meta_train(digits, config, seed=1, state_path=tmp_path / "state").id == whole.id
    assert meta_train(digits, config, seed=2).id != whole.id


def test_an_expert_that_diverges_is_named_with_its_learning_rate(
    digits: DatasetSplits, config: MetaTrainingConfig
) -> None:
    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(64, 10))

        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1) @ self.weight

    glaring = Split(1e25 * digits.train.images, digits.train.labels)
    with pytest.raises(
        MetaTrainingDiverged, match=r"meta step 1: the distance from the expert, with real_learning_rate 0\.1"
    ):
        take(digits, config, glaring, sampler=lambda **_: Linear())


def test_experts_count_in_the_memory_estimate(tiny_config: MetaTrainingConfig) -> None:
    def estimate(**options: Any) -> tuple[int, int]:
        changed_config = changed(tiny_config, **options)
        found = estimate_memory(changed_config, ConvNetSampler(changed_config), (1, 8, 8), 10, "recompute")
        return found.images, found.states

    plain, matched = estimate(trajectory_steps=100), estimate(trajectory_weight=1.0, trajectory_steps=100)
    learner = ConvNetSampler(tiny_config)(image_shape=(1, 8, 8), num_classes=10, seed=0)
    weights = sum(parameter.numel() for parameter in learner.parameters())
    assert matched[0] - plain[0] == 4 * 100 * 10 * 64  # float32 images of 8 x 8, ten to a batch
    assert matched[1] - plain[1] == 2 * 4 * weights
