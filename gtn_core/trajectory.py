"""Matching trajectories: a learner should end where real batches would have led it.

After Cazenavette et al., "Dataset Distillation by Matching Training Trajectories" (2022), whose experts are
long trainings that are kept, and whose students start somewhere on their way. Learners of meta-training are
new at every meta step, and so is the expert: the same learner from the same initial weights.
"""

import torch
from torch import Tensor, nn

from gtn_core.config import MetaTrainingConfig
from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import Split
from gtn_core.inner_loop import Window, unroll
from gtn_core.inner_steps import Parameters
from gtn_core.real_steps import real_batches


def expert_batches(
    taught: SyntheticCurriculum,
    window: Window,
    train: Split,
    config: MetaTrainingConfig,
    rng: torch.Generator,
) -> SyntheticCurriculum | None:
    """What the expert of a learner trains on that is `taught` up to the window's end; None without a weight.

    Beside a learner that takes all its steps the expert takes `trajectory_steps`. A window or warm-up may end
    a learner's way sooner; the expert then takes the same share of its own, at least one step.
    """
    if not config.trajectory_weight:
        return None
    all_steps = config.inner_steps + config.real_steps
    steps = -(-config.trajectory_steps * window.stop // all_steps)  # rounded up
    return real_batches(train, steps, taught, config, rng)


def expert_weights(learner: nn.Module, batches: SyntheticCurriculum) -> Parameters:
    """Where these batches lead the learner's initial weights, as constants; the learner stays as it is."""
    with torch.no_grad():
        return unroll(learner, batches, form="recompute")[-1]  # no graph without a gradient


def trajectory_loss(learner: nn.Module, reached: Parameters, expert: Parameters) -> Tensor:
    """Squared distance of the weights `reached` from the expert's, by that of the learner's initial ones.

    It is differentiable in `reached`: 0 where the expert ended, 1 where both began.
    """
    start = {name: parameter.detach() for name, parameter in learner.named_parameters()}
    way = _squared_distance(start, expert)
    # An expert that nothing moves leaves 0 / 0, where nothing moves its learner either.
    return _squared_distance(reached, expert) / way.clamp(min=torch.finfo(way.dtype).tiny)


def _squared_distance(weights: Parameters, others: Parameters) -> Tensor:
    return torch.stack([(weights[name] - others[name]).square().sum() for name in others]).sum()
