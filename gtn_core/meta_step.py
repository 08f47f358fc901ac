"""One meta step: fresh learners are taught, and their loss on real data improves what taught them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from gtn_core.config import MetaGradientForm, MetaTrainingConfig
from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import Split
from gtn_core.divergence import require_finite
from gtn_core.learners import LearnerSampler, learner_name
from gtn_core.meta_training_state import MetaTrainingState
from gtn_core.outer_loss import OuterLoss, outer_loss
from gtn_core.randomness import derive_seed, seeded_noise, torch_generator
from gtn_core.ranking import RankingReference, backward_ranking_loss
from gtn_core.ranks import ALONE, Rank
from gtn_core.real_steps import outer_batch, with_real_steps
from gtn_core.trajectory import expert_batches
from gtn_core.windows import draw_window

RUNNING_NORM_DECAY = 0.95
"""Of the mean norm that meta-gradients are clipped against: it remembers about twenty meta steps."""

OUTLIER = 3.0
"""Multiple of the running mean as which any larger norm enters it, unless `clip_factor` allows for more.

Norms as they were clipped would not do: with a `clip_factor` of at most 1 their mean could only fall, and
with it the next limit, until nothing is learned any more.
"""


@dataclass(frozen=True, slots=True)
class MetaStepOutcome:
    """What the learners of one meta step reached on real training images, averaged over them."""

    loss: float  # outer loss, nats
    accuracy: float  # after the last inner step, in [0, 1]
    gradient_norm: float  # of the meta-gradient, before clipping
    ranking_loss: float | None = None  # of the group that was compared, where one was
    trajectory_loss: float | None = None  # distance from the experts, where there were any


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
) -> MetaStepOutcome:
    """Update the curriculum once; all that is random is drawn from (`seed`, the state's step).

    With a `trajectory_weight` learners' distances from their experts are lowered beside their outer losses.
    With a `reference` a group of its learners adds the weighted ranking loss. With several ranks each takes
    its share of the learners, and all update their equal curricula alike.

    Raises MetaTrainingDiverged, with all weights as before, when a loss or the meta-gradient is not finite.
    """
    curriculum, step = state.curriculum, state.step
    curriculum.zero_grad()
    compared = reference is not None and config.ranking_weight > 0
    synthetic = curriculum(
        torch_generator(seed, "order", step),
        recompute=form != "graph",
        learned=_learned_steps(config, seed, step, compared=compared),
    )
    # The learners' gradients add up in these leaves, so that the generator is gone back through only once.
    leaves = synthetic.detach_as_leaves()
    loss, accuracy, trajectory_loss = _backward_outer_losses(
        leaves, train, sampler, config, seed=seed, step=step, form=form, rank=rank
    )
    ranking_loss = None
    if reference is not None and compared:
        ranking_loss = backward_ranking_loss(
            leaves, train, reference, config, seed=seed, step=step, form=form, rank=rank
        )
    synthetic.backward_from(leaves)
    gradients = [parameter.grad for parameter in curriculum.parameters() if parameter.grad is not None]
    for gradient in gradients:
        rank.add_up(gradient)
    norm = get_total_norm(gradients)
    require_finite(norm.item(), "norm of the meta-gradient", "all learners together", step, config)
    _clip(state, config, norm)
    _set_learning_rate(state, config)
    state.optimizer.step()
    if state.average is not None:
        state.average.update_parameters(curriculum)
    state.step += 1
    return MetaStepOutcome(loss, accuracy, norm.item(), ranking_loss, trajectory_loss)


def _learned_steps(config: MetaTrainingConfig, seed: int, step: int, *, compared: bool) -> range:
    """The inner steps that some window of this meta step covers, from the first to the last of them."""
    names: list[tuple[str | int, ...]] = [
        ("window", step, index) for index in range(config.learners_per_meta_step)
    ]
    if compared:
        names.append(("ranking window", step))
    windows = [draw_window(config, step, torch_generator(seed, *name)) for name in names]
    return range(min(each.start for each in windows), max(each.stop for each in windows))


def _backward_outer_losses(
    leaves: SyntheticCurriculum,
    train: Split,
    sampler: LearnerSampler,
    config: MetaTrainingConfig,
    *,
    seed: int,
    step: int,
    form: MetaGradientForm,
    rank: Rank,
) -> tuple[float, float, float | None]:
    """Add the gradient of the mean objective over the rank's learners to `leaves`.

    Returns the means of loss, accuracy and, where there are experts, trajectory loss over the learners of all
    ranks.
    """
    _, _, channels, height, width = leaves.images.shape
    totals = torch.zeros(3, dtype=torch.float64)
    for index in rank.share(config.learners_per_meta_step):
        learner_seed = derive_seed(seed, "learner", step, index)
        learner = sampler(
            image_shape=(channels, height, width), num_classes=leaves.labels.shape[2], seed=learner_seed
        ).to(train.labels.device)
        real = outer_batch(train, config, torch_generator(seed, "real", step, index))
        window = draw_window(config, step, torch_generator(seed, "window", step, index))
        taught, window = with_real_steps(
            leaves, window, train, config, torch_generator(seed, "real steps", step, index)
        )
        expert = expert_batches(taught, window, train, config, torch_generator(seed, "expert", step, index))
        name = f"{learner_name(sampler)} (seed {learner_seed})"
        with seeded_noise(learner_seed, train.labels.device):
            found = outer_loss(learner, taught, real, config, form=form, window=window, expert=expert)
            objective = _objective(found, name, step, config)
            torch.autograd.backward(objective / config.learners_per_meta_step)
        norm = leaves.gradient_norm()
        require_finite(norm, "norm of the meta-gradient in the synthetic images", name, step, config)
        distance = 0.0 if found.trajectory_loss is None else found.trajectory_loss.item()
        totals += torch.tensor([found.loss.item(), found.accuracy.item(), distance])
    rank.add_up(totals)
    loss, accuracy, trajectory_loss = (totals / config.learners_per_meta_step).tolist()
    return loss, accuracy, trajectory_loss if config.trajectory_weight else None


def _objective(found: OuterLoss, learner: str, step: int, config: MetaTrainingConfig) -> Tensor:
    """What one learner adds to what a meta step lowers; raises MetaTrainingDiverged."""
    require_finite(found.loss.item(), "outer loss", learner, step, config)
    if found.trajectory_loss is None:
        return found.loss
    # The outer loss is finite, so it is the expert that went astray.
    what = f"distance from the expert, with real_learning_rate {config.real_learning_rate:g},"
    require_finite(found.trajectory_loss.item(), what, learner, step, config)
    return found.loss + config.trajectory_weight * found.trajectory_loss


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
