"""What a meta step lowers: the loss on real data of a learner that the curriculum has taught."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from gtn_core.config import MetaGradientForm, MetaTrainingConfig
from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import Split
from gtn_core.inner_loop import Window, unroll
from gtn_core.inner_steps import Parameters
from gtn_core.layers import batch_statistics, evaluation_mode
from gtn_core.precision import prepared
from gtn_core.trajectory import expert_weights, trajectory_loss


@dataclass(frozen=True, slots=True)
class OuterLoss:
    """How one learner did that a curriculum has taught, as scalars on its device."""

    loss: Tensor  # on real data, nats; differentiable in the curriculum
    accuracy: Tensor  # after the last inner step, in [0, 1]
    trajectory_loss: Tensor | None  # where it had an expert; differentiable in the curriculum


def outer_loss(
    learner: nn.Module,
    curriculum: SyntheticCurriculum,
    real: Split,
    config: MetaTrainingConfig,
    *,
    form: MetaGradientForm = "graph",
    window: Window | None = None,
    expert: SyntheticCurriculum | None = None,
) -> OuterLoss:
    """Loss on real data of a learner taught by `curriculum`.

    The loss is a weighted mean over the learner's way: after every `outer_loss_every` inner steps with the
    intermediate weight, after the last with weight one. With the batches of an `expert` the learner's last
    weights are also compared with those that these batches lead to.
    """
    learner = prepared(learner, curriculum.images, config.precision)
    # Before the unroll, so that no graph is held while the expert trains.
    aim = None if expert is None else expert_weights(learner, expert)
    snapshots = unroll(
        learner,
        curriculum,
        snapshot_every=config.outer_loss_every,
        form=form,
        recompute_block=config.recompute_block or 1,
        window=window,
    )
    measured = [real_loss(learner, parameters, real) for parameters in snapshots]
    losses = torch.stack([loss for loss, _ in measured])
    weights = torch.full_like(losses, config.intermediate_loss_weight)
    weights[-1].fill_(1)  # an assignment would copy from the CPU, which CUDA graphs cannot record
    return OuterLoss(
        loss=(weights * losses).sum() / weights.sum(),
        accuracy=measured[-1][1],
        trajectory_loss=None if aim is None else trajectory_loss(learner, snapshots[-1], aim),
    )


def final_loss(
    learner: nn.Module,
    curriculum: SyntheticCurriculum,
    real: Split,
    config: MetaTrainingConfig,
    *,
    form: MetaGradientForm = "graph",
    window: Window | None = None,
) -> Tensor:
    """Loss on real data after the last inner step alone, differentiable in the curriculum."""
    learner = prepared(learner, curriculum.images, config.precision)
    block = config.recompute_block or 1
    end = unroll(learner, curriculum, form=form, recompute_block=block, window=window)[-1]
    return real_loss(learner, end, real)[0]


def real_loss(learner: nn.Module, parameters: Parameters, real: Split) -> tuple[Tensor, Tensor]:
    """Cross-entropy and accuracy of the learner with these parameters; the loss is once differentiable.

    Both are taken as `evaluate` takes them from the batch at hand: dropout is for learning alone. The loss's
    gradient in the parameters is taken at once, so that no activations of real images wait for the backward
    pass.
    """
    loss, accuracy = _RealLoss.apply(learner, tuple(parameters), real, *parameters.values())  # type: ignore[no-untyped-call]  # torch's
    return loss, accuracy


class _RealLoss(torch.autograd.Function):
    """A loss that brings its gradient along."""

    @staticmethod
    def forward(
        ctx: Any, learner: nn.Module, names: Sequence[str], real: Split, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        leaves = [parameter.detach().requires_grad_() for parameter in parameters]
        with torch.enable_grad(), evaluation_mode(learner), batch_statistics(learner):
            logits = functional_call(learner, dict(zip(names, leaves, strict=True)), real.images)
            loss = F.cross_entropy(logits, real.labels)
        if any(ctx.needs_input_grad):
            gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
            ctx.save_for_backward(*gradients)
        accuracy = (logits.argmax(dim=1) == real.labels).float().mean()
        ctx.mark_non_differentiable(accuracy)
        return loss.detach(), accuracy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, adjoint: Tensor, _accuracy: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *(adjoint * gradient for gradient in ctx.saved_tensors)
