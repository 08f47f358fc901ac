"""The inner loop: a learner takes T steps on a curriculum, in place or as a differentiable function of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.inner_optimizer import InnerOptimizer, Tensors, get_inner_optimizer
from gtn_core.layers import batch_statistics

Parameters = dict[str, Tensor]


def train_on_curriculum(
    network: nn.Module,
    curriculum: SyntheticCurriculum,
    *,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Train `network` in place, in train mode, with the curriculum's optimizer; no graph is kept.

    The curriculum must be on the network's device. `on_step(t, loss)` is called after inner step t (from 0).
    Parameters that the loss does not reach stay as they are.

    Returns:
        The loss before each inner step, [T], on the network's device. It is not checked: a candidate that
        diverged shows it there.
    """
    network.train()
    optimizer = get_inner_optimizer(curriculum.inner_optimizer)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    state = optimizer.init(parameters)
    losses = []
    for step in range(len(curriculum)):
        loss = F.cross_entropy(network(curriculum.images[step]), curriculum.labels[step])
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            updated, state = optimizer.update(
                parameters,
                gradients,
                state,
                learning_rate=curriculum.learning_rates[step],
                momentum=curriculum.momenta[step],
            )
            for parameter, value in zip(parameters, updated, strict=True):
                parameter.copy_(value)
        losses.append(loss.detach())
        if on_step is not None:
            on_step(step, losses[-1])
    return torch.stack(losses)


@dataclass(frozen=True)
class Unrolled:
    """A learner's way through the curriculum."""

    snapshots: tuple[Parameters, ...]  # after every `snapshot_every` steps and the last; differentiable
    losses: Tensor  # [T], before each inner step; for reports, not differentiable


def unroll(
    network: nn.Module,
    curriculum: SyntheticCurriculum,
    *,
    snapshot_every: int = 0,
    recompute_block: int = 0,
) -> Unrolled:
    """Take the steps of `train_on_curriculum` as one differentiable function of the curriculum's tensors.

    The network lends its structure and its initial parameters and stays as it is. With a `recompute_block` of
    k, the graph of k steps at a time is built again going backward: memory then holds one such graph and the
    T / k states between. With 0 it holds the whole graph, which is fastest. The gradients are equal.
    """
    network.train()
    batches = list(
        zip(
            curriculum.images.unbind(),
            curriculum.labels.unbind(),
            curriculum.learning_rates.unbind(),
            curriculum.momenta.unbind(),
            strict=True,
        )
    )
    steps = _InnerSteps(network, get_inner_optimizer(curriculum.inner_optimizer))
    state = steps.initial_state
    snapshots, losses = [], []
    for start, end in pairwise(_boundaries(len(batches), snapshot_every, recompute_block)):
        tensors = (*state, *chain.from_iterable(batches[start:end]))
        if recompute_block:
            *state, loss = _RecomputedSteps.apply(steps, *tensors)  # type: ignore[no-untyped-call]  # torch's
        else:
            *state, loss = steps(tensors, create_graph=True)
        losses.append(loss)
        if end == len(batches) or (snapshot_every and end % snapshot_every == 0):
            snapshots.append(steps.named_parameters(state))
    return Unrolled(tuple(snapshots), torch.cat(losses))


def _boundaries(steps: int, *strides: int) -> list[int]:
    """Where blocks begin and end: 0, `steps`, and the strides' multiples between; a stride of 0 has none."""
    return sorted({0, steps}.union(*(range(0, steps, stride) for stride in strides if stride)))


class _InnerSteps:
    """A few inner steps as a function of tensors alone: state and batches -> state and losses.

    The state is the learner's parameters, then the optimizer's own tensors. Batch norm leaves its running
    statistics alone: a step that is computed twice must not count twice.
    """

    def __init__(self, network: nn.Module, optimizer: InnerOptimizer) -> None:
        self.network, self.optimizer = network, optimizer
        self.names = [name for name, _ in network.named_parameters()]
        parameters = [parameter.detach().requires_grad_() for parameter in network.parameters()]
        self.initial_state: Tensors = [*parameters, *optimizer.init(parameters)]

    def __call__(self, tensors: Sequence[Tensor], *, create_graph: bool) -> Tensors:
        parameters, state, batches = self._split(tensors)
        losses = []
        for images, labels, learning_rate, momentum in batches:
            if not create_graph:
                parameters = [parameter.detach().requires_grad_() for parameter in parameters]
            with torch.enable_grad(), batch_statistics(self.network):
                logits = functional_call(self.network, self.named_parameters(parameters), images)
                loss = F.cross_entropy(logits, labels)
            gradients = torch.autograd.grad(
                loss, parameters, create_graph=create_graph, allow_unused=True, materialize_grads=True
            )
            parameters, state = self.optimizer.update(
                parameters, gradients, state, learning_rate=learning_rate, momentum=momentum
            )
            losses.append(loss.detach())
        return [*parameters, *state, torch.stack(losses)]

    def named_parameters(self, state: Sequence[Tensor]) -> Parameters:
        """The parameters at the head of a state, as `functional_call` takes them."""
        return dict(zip(self.names, state, strict=False))

    def _split(self, tensors: Sequence[Tensor]) -> tuple[Tensors, Tensors, Iterator[tuple[Tensor, ...]]]:
        """Parameters, the optimizer's tensors, and (images, labels, learning rate, momentum) per step."""
        count, end = len(self.names), len(self.initial_state)
        batches = zip(*(tensors[part::4] for part in range(end, end + 4)), strict=True)
        return list(tensors[:count]), list(tensors[count:end]), batches


class _RecomputedSteps(torch.autograd.Function):
    """Inner steps that keep only their inputs, and build their graph when the gradient arrives."""

    @staticmethod
    def forward(ctx: Any, steps: _InnerSteps, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.steps = steps
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        *state, losses = steps(tensors, create_graph=False)
        ctx.mark_non_differentiable(losses)
        return *state, losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = [tensor.detach().requires_grad_() for tensor in ctx.saved_tensors]
        with torch.enable_grad():
            outputs = ctx.steps(inputs, create_graph=True)
        reached = [
            (output, gradient)
            for output, gradient in zip(outputs, gradients, strict=True)
            if gradient is not None and output.requires_grad
        ]
        reached_outputs, reached_gradients = zip(*reached, strict=True)
        return None, *torch.autograd.grad(reached_outputs, inputs, reached_gradients, allow_unused=True)
