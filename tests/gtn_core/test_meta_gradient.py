"""The derivative that everything rests on, against references that know nothing of the unroll."""

import re
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrizations

from gtn_core import (
    ConvNetSampler,
    LearnedCurriculum,
    MetaTrainingConfig,
    SyntheticCurriculum,
    train_on_curriculum,
    unroll,
)
from gtn_core.config import MetaGradientForm
from gtn_core.inner_loop import Window
from gtn_core.layers import batch_statistics, channels_last
from gtn_core.randomness import seeded_noise

T, B, K = 4, 3, 3
REAL_IMAGES = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
REAL_LABELS = torch.tensor([0, 1, 2, 0, 1])


def make_curriculum(optimizer: str = "sgd") -> SyntheticCurriculum:
    rng = torch.Generator().manual_seed(0)
    return SyntheticCurriculum(
        images=torch.randn(T, B, 1, 4, 4, generator=rng, dtype=torch.float64).requires_grad_(),
        labels=torch.randn(T, B, K, generator=rng, dtype=torch.float64).softmax(dim=2).requires_grad_(),
        learning_rates=torch.tensor([0.3, 0.1, 0.2, 0.4], dtype=torch.float64).requires_grad_(),
        momenta=torch.tensor([0.5, 0.9, 0.3, 0.7], dtype=torch.float64).requires_grad_(),
        inner_optimizer=optimizer,  # type: ignore[arg-type]
    )


def tensors(curriculum: SyntheticCurriculum) -> tuple[Tensor, ...]:
    return curriculum.images, curriculum.labels, curriculum.learning_rates, curriculum.momenta


def convnet(**options: object) -> nn.Module:
    config = MetaTrainingConfig.model_validate({"learner_channels": (2,), "learner_hidden": 4, **options})
    return ConvNetSampler(config)(image_shape=(1, 4, 4), num_classes=K, seed=0).double()


class WithUnusedParts(nn.Module):
    """What search spaces build: standard batch norm, and parameters that the loss never reaches."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, K))
        self.unused = nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.used(images)
        return logits


def with_frozen_parts() -> nn.Module:
    network = WithUnusedParts()
    network.used[0].requires_grad_(False)
    return network.double()


class NormAndActivation(nn.BatchNorm2d):
    """Two layers in one, as libraries of image networks have them."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.tanh(super().forward(features))


def with_activation_in_the_norm() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 3), NormAndActivation(2), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, K)
    return nn.Sequential(*layers).double()


def with_instance_norm() -> nn.Module:
    torch.manual_seed(0)
    norms = (nn.InstanceNorm2d(2, affine=True, track_running_stats=tracks) for tracks in (True, False))
    layers = nn.Conv2d(1, 2, 3), *norms, nn.Tanh(), nn.Flatten(), nn.Linear(8, K)
    return nn.Sequential(*layers).double()


class WithAttention(nn.Module):
    """Rows of an image attend to each other."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.projection, self.classifier = nn.Linear(4, 12), nn.Linear(4, K)

    def forward(self, images: Tensor) -> Tensor:
        query, key, value = self.projection(images).chunk(3, dim=3)
        logits: Tensor = self.classifier(F.scaled_dot_product_attention(query, key, value).mean(dim=(1, 2)))
        return logits


LEARNERS: dict[str, Callable[[], nn.Module]] = {
    "batch": convnet,
    "mean only": lambda: convnet(learner_normalization="mean_only"),
    "strided": lambda: convnet(learner="strided", learner_channels=(2, 2)),
    "with unused parts": lambda: WithUnusedParts().double(),
    "with frozen parts": with_frozen_parts,
    "with an activation in the norm": with_activation_in_the_norm,
    "with instance norm": with_instance_norm,
    "with attention": lambda: WithAttention().double(),
    "with dropout": lambda: nn.Sequential(convnet(), nn.Dropout(0.4)),
}


def real_loss(network: nn.Module, curriculum: SyntheticCurriculum, **options: Any) -> Tensor:
    """The mean of the real losses at all snapshots."""
    with seeded_noise(0, "cpu"), batch_statistics(network):
        snapshots = unroll(network, curriculum, **options)
        losses = [
            F.cross_entropy(functional_call(network, each, REAL_IMAGES), REAL_LABELS) for each in snapshots
        ]
    return torch.stack(losses).mean()


def test_it_equals_a_linear_classifier_unrolled_by_hand() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, K, bias=False)).double()
    curriculum = make_curriculum()
    ours = torch.autograd.grad(real_loss(network, curriculum), tensors(curriculum))

    weight, velocity = network[1].weight.detach().clone(), torch.zeros(K, 16, dtype=torch.float64)
    for images, labels, learning_rate, momentum in zip(*tensors(curriculum), strict=True):
        # The gradient of soft cross-entropy at a linear layer, written out: (p - y)^T x / B.
        x = images.flatten(1)
        probabilities = torch.softmax(x @ weight.T, dim=1)
        velocity = momentum * velocity + (probabilities - labels).T @ x / B
        weight = weight - learning_rate * velocity
    by_hand = torch.autograd.grad(
        F.cross_entropy(REAL_IMAGES.flatten(1) @ weight.T, REAL_LABELS), tensors(curriculum)
    )
    # A label's gradient is defined up to what its normalisation fixes; here both sides see free labels.
    torch.testing.assert_close(ours[0], by_hand[0], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(ours[2:], by_hand[2:], rtol=1e-12, atol=1e-14)


def directional_derivative(loss: Callable[[], Tensor], tensor: Tensor, direction: Tensor) -> float:
    """By central differences of fourth order: Adam's steps bend too much for those of second."""

    @torch.no_grad()
    def loss_at(distance: float) -> float:
        start = tensor.clone()
        tensor.add_(distance * direction)
        with torch.enable_grad():
            value = loss().item()
        tensor.copy_(start)
        return value

    h = 1e-6
    return (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("make_network", LEARNERS.values(), ids=LEARNERS.keys())
def test_it_equals_central_finite_differences(make_network: Callable[[], nn.Module], optimizer: str) -> None:
    network, curriculum = make_network(), make_curriculum(optimizer)

    def loss() -> Tensor:
        return real_loss(network, curriculum, snapshot_every=2)

    gradients = torch.autograd.grad(loss(), tensors(curriculum))
    rng = torch.Generator().manual_seed(0)
    for tensor, gradient in zip(tensors(curriculum), gradients, strict=True):
        for _ in range(3):
            direction = torch.randn(tensor.shape, generator=rng, dtype=torch.float64)
            expected = directional_derivative(loss, tensor, direction)
            assert (gradient * direction).sum().item() == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("snapshot_every", [0, 1, 3])
@pytest.mark.parametrize("make_network", LEARNERS.values(), ids=LEARNERS.keys())
def test_every_form_gives_the_gradient_of_the_whole_graph(
    make_network: Callable[[], nn.Module], snapshot_every: int, optimizer: str
) -> None:
    network, curriculum = make_network(), make_curriculum(optimizer)

    def loss_and_gradients(**options: Any) -> tuple[Tensor, ...]:
        loss = real_loss(network, curriculum, snapshot_every=snapshot_every, **options)
        return loss.detach(), *torch.autograd.grad(loss, tensors(curriculum))

    whole = loss_and_gradients(form="graph")
    for block in range(1, T + 2):
        recomputed = loss_and_gradients(form="recompute", recompute_block=block)
        torch.testing.assert_close(recomputed, whole, rtol=1e-10, atol=1e-12)
    products = loss_and_gradients(form="hessian_vector")
    torch.testing.assert_close(products, whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("form", ["recompute", "hessian_vector"])
def test_a_step_stays_exact_through_a_generator_and_a_learned_schedule(form: MetaGradientForm) -> None:
    config = MetaTrainingConfig.model_validate(
        {"inner_steps": T, "batch_size": 6, "latent_size": 3, "generator_hidden": 5}
        | {"generator_channels": (3, 2), "learner_channels": (2,), "learner_hidden": 4}
    )
    torch.manual_seed(0)
    learned = LearnedCurriculum(config, image_shape=(1, 4, 4), num_classes=K).double()

    def gradients(form: MetaGradientForm) -> tuple[Tensor, ...]:
        curriculum = learned(torch.Generator(), recompute=form != "graph")
        loss = real_loss(convnet(), curriculum, snapshot_every=2, form=form)
        return torch.autograd.grad(loss, list(learned.parameters()))

    torch.testing.assert_close(gradients(form), gradients("graph"), rtol=1e-10, atol=1e-12)


class WithoutForwardDerivative(torch.autograd.Function):
    """The square, with a backward pass that can be differentiated and no forward derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


def test_a_learner_without_forward_derivatives_gets_the_same_gradient() -> None:
    class Squaring(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            squared: Tensor = WithoutForwardDerivative.apply(features)  # type: ignore[no-untyped-call]
            return squared

    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), Squaring(), nn.Linear(4, K)).double()
    curriculum = make_curriculum()
    whole, products = (
        torch.autograd.grad(real_loss(network, curriculum, form=form), tensors(curriculum))
        for form in ("graph", "hessian_vector")
    )
    torch.testing.assert_close(products, whole, rtol=1e-10, atol=1e-12)


def test_a_layout_without_forward_derivatives_gets_the_same_gradient() -> None:
    """Group norm has none where channels lie last, as they do in learners for colour images."""
    torch.manual_seed(0)
    grouped = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Tanh(), nn.AvgPool2d(2))
    network = nn.Sequential(*grouped, nn.Conv2d(4, 4, 1), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(16, K))
    network, curriculum = channels_last(network.double()), make_curriculum()
    whole, products = (
        torch.autograd.grad(real_loss(network, curriculum, form=form), tensors(curriculum))
        for form in ("graph", "hessian_vector")
    )
    torch.testing.assert_close(products, whole, rtol=1e-10, atol=1e-12)
    direction = torch.randn(curriculum.images.shape, dtype=torch.float64)
    expected = directional_derivative(lambda: real_loss(network, curriculum), curriculum.images, direction)
    assert (products[0] * direction).sum().item() == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("form", get_args(MetaGradientForm))
def test_a_window_is_an_unroll_from_where_the_learner_stood(form: MetaGradientForm) -> None:
    network, curriculum = convnet(), make_curriculum()
    inside = Window(1, 3)
    unrolled = unroll(network, curriculum, form=form, window=inside)
    gradients = torch.autograd.grad(sum(each.sum() for each in unrolled[-1].values()), tensors(curriculum))
    reached = [bool(gradients[0][step].abs().sum() > 0) for step in range(T)]
    assert reached == [False, True, True, False]
    assert len(unrolled) == 1
    first_three = unroll(network, curriculum, snapshot_every=3)[0]
    torch.testing.assert_close(unrolled[0], first_three, rtol=1e-10, atol=1e-12)
    by_graph = unroll(network, curriculum, window=inside)
    expected = torch.autograd.grad(sum(each.sum() for each in by_graph[-1].values()), tensors(curriculum))
    torch.testing.assert_close(gradients, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("make_network", LEARNERS.values(), ids=LEARNERS.keys())
def test_a_learner_trained_in_place_ends_where_the_unroll_does(
    make_network: Callable[[], nn.Module], optimizer: str
) -> None:
    network, curriculum = make_network(), make_curriculum(optimizer)
    with seeded_noise(0, "cpu"):
        unrolled = unroll(network, curriculum)
    with seeded_noise(0, "cpu"):
        losses = train_on_curriculum(network.eval(), curriculum)
    assert losses.shape == (T,)
    torch.testing.assert_close(
        {name: each.detach() for name, each in network.named_parameters() if each.requires_grad},
        {name: parameter.detach() for name, parameter in unrolled[-1].items()},
        rtol=1e-10,
        atol=1e-12,
    )


def test_the_unroll_leaves_the_network_as_it_was() -> None:
    network, curriculum = WithUnusedParts().double(), make_curriculum()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.autograd.backward(real_loss(network, curriculum, form="recompute"))
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in network.used[0].parameters())


class OwnRunningMean(nn.Module):
    """A layer that normalises by a mean of its own, which no derivative reaches."""

    mean: Tensor

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        self.register_buffer("mean", torch.zeros(4, dtype=torch.float64))

    def forward(self, features: Tensor) -> Tensor:
        moved = 0.5 * self.mean + 0.5 * features.detach().mean(dim=0)
        if self.in_place:
            self.mean.copy_(moved)
        else:
            self.mean = moved
        return features - self.mean


@pytest.mark.parametrize("form", get_args(MetaGradientForm))
@pytest.mark.parametrize(
    ("layers", "buffer"),
    [
        ((nn.Linear(16, 4), OwnRunningMean(in_place=True)), "2.mean"),
        ((nn.Linear(16, 4), OwnRunningMean(in_place=False)), "2.mean"),
        ((parametrizations.spectral_norm(nn.Linear(16, 4)),), "1.parametrizations.weight.0._u"),
    ],
    ids=["in place", "replaced", "spectral norm"],
)
def test_a_learner_that_changes_its_buffers_is_refused(
    layers: tuple[nn.Module, ...], buffer: str, form: MetaGradientForm
) -> None:
    network = nn.Sequential(nn.Flatten(), *layers, nn.Linear(4, K)).double()
    with pytest.raises(ValueError, match=f"Sequential, changes its buffer '{re.escape(buffer)}' in training"):
        unroll(network, make_curriculum(), form=form)


@pytest.mark.parametrize("weight_norm", [parametrizations.weight_norm, nn.utils.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
def test_a_learner_with_a_wrong_second_derivative_is_refused(
    weight_norm: Callable[[nn.Module], nn.Module],
) -> None:
    network = nn.Sequential(nn.Flatten(), weight_norm(nn.Linear(16, K))).double()
    with pytest.raises(ValueError, match=r"has PyTorch's weight_norm at '1.*weight_normalised"):
        unroll(network, make_curriculum())


def test_a_learner_with_nothing_to_train_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, K)).double().requires_grad_(False)
    with pytest.raises(ValueError, match="a learner, Sequential, has no parameters that are trained"):
        unroll(network, make_curriculum())


def test_snapshots_come_after_every_k_steps_and_the_last() -> None:
    network, curriculum = convnet(), make_curriculum()
    for every, count in ((0, 1), (1, 4), (2, 2), (3, 2), (4, 1), (9, 1)):
        assert len(unroll(network, curriculum, snapshot_every=every)) == count
    after_each = unroll(network, curriculum, snapshot_every=1)
    after_three = unroll(network, curriculum, snapshot_every=3)[0]
    torch.testing.assert_close(after_three, after_each[2])
    # Counted from the learner's first step, not from the window's: after steps 2 and 4.
    inside = unroll(network, curriculum, snapshot_every=2, window=Window(1, 4))
    torch.testing.assert_close(inside, (after_each[1], after_each[3]))


def test_steps_are_reported_in_order() -> None:
    seen: list[tuple[int, float]] = []
    losses = train_on_curriculum(
        convnet(), make_curriculum(), on_step=lambda step, loss: seen.append((step, loss.item()))
    )
    assert seen == list(enumerate(losses.tolist()))
