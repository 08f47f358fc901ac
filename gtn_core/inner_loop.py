"""The inner loop: a learner takes T steps on a curriculum, in place or as a differentiable function of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gtn_core.config import MetaGradientForm
from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.inner_optimizer import get_inner_optimizer
from gtn_core.inner_steps import (
    InnerSteps,
    Parameters,
    StepsFunction,
    hessian_vector_step,
    recomputed_steps,
    steps_with_graph,
    steps_without_gradient,
)
from gtn_core.precision import autocast


def train_on_curriculum(
    network: nn.Module,
    curriculum: SyntheticCurriculum,
    *,
    on_step: Callable[[int, Tensor], None] | None = None,
    bfloat16: bool = False,
) -> Tensor:
    """Train `network` in place, in train mode, with the curriculum's optimizer; no graph is kept.

    The curriculum must be on the network's device. `on_step(t, loss)` is called after inner step t (from 0).
    Parameters that the loss does not reach stay as they are. With `bfloat16` the network computes in that
    type, and weights and losses stay float32.

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
        with autocast(curriculum.images.device, bfloat16=bfloat16):
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
class Window:
    """The inner steps that a meta-gradient goes back through, [start, stop); the learner rests after stop."""

    start: int
    stop: int


def unroll(
    network: nn.Module,
    curriculum: SyntheticCurriculum,
    *,
    snapshot_every: int = 0,
    form: MetaGradientForm = "graph",
    recompute_block: int = 1,
    window: Window | None = None,
) -> tuple[Parameters, ...]:
    """Take the steps of `train_on_curriculum` as one differentiable function of the curriculum's tensors.

    The network lends its structure and its initial parameters and stays as it is. All forms (`inner_steps`)
    give equal gradients; "recompute" takes `recompute_block` steps at a time. With a `window`, steps before
    it are taken without a gradient and those after it not at all, and all snapshots are from inside.

    Returns:
        Snapshots of the parameters after every `snapshot_every` steps and the last, by name, without frozen
        ones.
    """
    network.train()
    window = window or Window(0, len(curriculum))
    batches = list(
        zip(
            curriculum.images.unbind(),
            curriculum.labels.unbind(),
            curriculum.learning_rates.unbind(),
            curriculum.momenta.unbind(),
            strict=True,
        )
    )
    steps = InnerSteps(network, get_inner_optimizer(curriculum.inner_optimizer))
    take, block = _FORMS[form], {"graph": 0, "recompute": recompute_block, "hessian_vector": 1}[form]
    state: Sequence[Tensor] = steps.initial_state
    snapshots = []
    for start, end in pairwise(_boundaries(window, snapshot_every, block)):
        inside = start >= window.start
        tensors = (*state, *chain.from_iterable(batches[start:end]))
        state = (take if inside else steps_without_gradient)(steps, tensors)
        if inside and (end == window.stop or (snapshot_every and end % snapshot_every == 0)):
            snapshots.append(steps.named_parameters(state))
    return tuple(snapshots)


_FORMS: dict[MetaGradientForm, StepsFunction] = {
    "graph": steps_with_graph,
    "recompute": recomputed_steps,
    "hessian_vector": hessian_vector_step,
}


def _boundaries(window: Window, *strides: int) -> list[int]:
    """Where blocks begin and end: 0, the window's ends and multiples of the strides; 0 has none."""
    ends = {0, window.start, window.stop}
    return sorted(ends.union(*(range(0, window.stop, stride) for stride in strides if stride)))
