"""One meta step: fresh learners are taught, and their loss on real data improves what taught them."""

import math
from dataclasses import asdict, dataclass, field

from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from gtn_core.config import MetaGradientForm, MetaTrainingConfig
from gtn_core.data import Split
from gtn_core.divergence import require_finite
from gtn_core.learners import LearnerSampler
from gtn_core.meta_gradient import MetaGradient, MetaStepInputs, Taught, add_meta_gradient
from gtn_core.meta_training_state import MetaTrainingState
from gtn_core.ranking import RankingReference
from gtn_core.ranks import ALONE, Rank

RUNNING_NORM_DECAY = 0.95
"""Of the mean norm that meta-gradients are clipped against: it remembers about twenty meta steps."""

OUTLIER = 3.0
"""Multiple of the running mean as which any larger norm enters it, unless `clip_factor` allows for more.

Norms as they were clipped would not do: with a `clip_factor` of at most 1 their mean could only fall, and
with it the next limit, until nothing is learned any more.
"""


@dataclass(frozen=True, slots=True)
class MetaStepOutcome(Taught):
    """What the learners of one meta step reached, and how strongly they asked for change."""

    gradient_norm: float = field(kw_only=True)  # of the meta-gradient, before clipping


def meta_step(
    state: MetaTrainingState,
    train: Split,
    sampler: LearnerSampler,
    config: MetaTrainingConfig,
    *,
    seed: int,
    form: MetaGradientForm = "graph",
    reference: RankingReference | None = None,
    rank: Rank = ALONE,
    meta_gradient: MetaGradient = add_meta_gradient,
) -> MetaStepOutcome:
    """Update the curriculum once; all that is random is drawn from (`seed`, the state's step).

    With a `trajectory_weight` learners' distances from their experts are lowered beside their outer losses.
    With a `reference` a group of its learners adds the weighted ranking loss. With several ranks each takes
    its share of the learners, and all update their equal curricula alike. How the meta-gradient is computed
    is the caller's choice, and changes it by rounding alone.

    Raises MetaTrainingDiverged, with all weights as before, when a loss or the meta-gradient is not finite.
    """
    curriculum = state.curriculum
    curriculum.zero_grad()
    taught = meta_gradient(
        MetaStepInputs(curriculum, train, sampler, config, seed, state.step, form, reference, rank)
    )
    gradients = [parameter.grad for parameter in curriculum.parameters() if parameter.grad is not None]
    for gradient in gradients:
        rank.add_up(gradient)
    norm = get_total_norm(gradients)
    require_finite(norm.item(), "norm of the meta-gradient", "all learners together", state.step, config)
    _clip(state, config, norm)
    _set_learning_rate(state, config)
    state.optimizer.step()
    if state.average is not None:
        state.average.update_parameters(curriculum)
    state.step += 1
    return MetaStepOutcome(**asdict(taught), gradient_norm=norm.item())


def _clip(state: MetaTrainingState, config: MetaTrainingConfig, norm: Tensor) -> None:
    """Hold the meta-gradient's norm to a multiple of its running mean, which is kept in the state."""
    counted = norm.item()
    running = state.running_norm or counted
    if config.gradient_clipping:
        clip_grads_with_norm_(state.curriculum.parameters(), config.clip_factor * running, norm)
        counted = min(counted, max(config.clip_factor, OUTLIER) * running)
    state.running_norm = RUNNING_NORM_DECAY * running + (1 - RUNNING_NORM_DECAY) * counted


def _set_learning_rate(state: MetaTrainingState, config: MetaTrainingConfig) -> None:
    """Cosine decay from the configured rate to its final fraction, as a function of the step alone."""
    floor = config.final_learning_rate_fraction
    cosine = (1 + math.cos(math.pi * state.step / config.meta_steps)) / 2
    for group in state.optimizer.param_groups:
        group["lr"] = config.outer_learning_rate * (floor + (1 - floor) * cosine)
