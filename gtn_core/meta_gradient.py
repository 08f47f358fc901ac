"""The meta-gradient: fresh learners are taught, and their loss on real data goes back to what taught them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gtn_core.config import MetaGradientForm, MetaTrainingConfig
from gtn_core.curriculum import LearnedCurriculum, SyntheticCurriculum
from gtn_core.data import Split
from gtn_core.divergence import require_finite
from gtn_core.learners import LearnerSampler, learner_name
from gtn_core.outer_loss import OuterLoss, outer_loss
from gtn_core.randomness import derive_seed, seeded_noise, torch_generator
from gtn_core.ranking import RankingReference, backward_ranking_loss
from gtn_core.ranks import Rank
from gtn_core.real_steps import outer_batch, with_real_steps
from gtn_core.trajectory import expert_batches
from gtn_core.windows import draw_window


@dataclass(frozen=True, slots=True)
class Taught:
    """What the learners of one meta step reached on real training images, averaged over them."""

    loss: float  # outer loss, nats
    accuracy: float  # after the last inner step, in [0, 1]
    ranking_loss: float | None = None  # of the group that was compared, where one was
    trajectory_loss: float | None = None  # distance from the experts, where there were any


@dataclass(frozen=True, slots=True)
class MetaStepInputs:
    """What a meta-gradient depends on; all that is random is drawn from (`seed`, `step`)."""

    curriculum: LearnedCurriculum
    train: Split
    sampler: LearnerSampler
    config: MetaTrainingConfig
    seed: int
    step: int  # meta steps done before this one
    form: MetaGradientForm
    reference: RankingReference | None
    rank: Rank


MetaGradient = Callable[[MetaStepInputs], Taught]
"""Adds the gradient of the objective of the rank's learners to the `.grad` of what is learned.

Raises MetaTrainingDiverged when a loss or a gradient is not finite.
"""


def add_meta_gradient(inputs: MetaStepInputs) -> Taught:
    """The meta-gradient of any configuration, computed operation by operation."""
    form, reference = inputs.form, inputs.reference
    compared = reference is not None and inputs.config.ranking_weight > 0
    synthetic = inputs.curriculum(
        torch_generator(inputs.seed, "order", inputs.step),
        recompute=form != "graph",
        learned=_learned_steps(inputs.config, inputs.seed, inputs.step, compared=compared),
    )
    # The learners' gradients add up in these leaves, so that the generator is gone back through only once.
    leaves = synthetic.detach_as_leaves()
    loss, accuracy, trajectory_loss = _backward_outer_losses(leaves, inputs)
    ranking_loss = None
    if reference is not None and compared:
        ranking_loss = backward_ranking_loss(
            leaves,
            inputs.train,
            reference,
            inputs.config,
            seed=inputs.seed,
            step=inputs.step,
            form=form,
            rank=inputs.rank,
        )
    synthetic.backward_from(leaves)
    return Taught(loss, accuracy, ranking_loss, trajectory_loss)


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
    leaves: SyntheticCurriculum, inputs: MetaStepInputs
) -> tuple[float, float, float | None]:
    """Add the gradient of the mean objective over the rank's learners to `leaves`.

    Returns the means of loss, accuracy and, where there are experts, trajectory loss over the learners of all
    ranks.
    """
    train, config, seed, step = inputs.train, inputs.config, inputs.seed, inputs.step
    totals = torch.zeros(3, dtype=torch.float64)
    for index in inputs.rank.share(config.learners_per_meta_step):
        drawn = draw_learner(inputs, index)
        window = draw_window(config, step, torch_generator(seed, "window", step, index))
        taught, window = with_real_steps(
            leaves, window, train, config, torch_generator(seed, "real steps", step, index)
        )
        expert = expert_batches(taught, window, train, config, torch_generator(seed, "expert", step, index))
        with seeded_noise(drawn.seed, train.labels.device):
            found = outer_loss(
                drawn.learner, taught, drawn.real, config, form=inputs.form, window=window, expert=expert
            )
            objective = _objective(found, drawn.name, step, config)
            torch.autograd.backward(objective / config.learners_per_meta_step)
        norm = leaves.gradient_norm()
        require_finite(norm, "norm of the meta-gradient in the synthetic images", drawn.name, step, config)
        distance = 0.0 if found.trajectory_loss is None else found.trajectory_loss.item()
        totals += torch.tensor([found.loss.item(), found.accuracy.item(), distance])
    inputs.rank.add_up(totals)
    loss, accuracy, trajectory_loss = (totals / config.learners_per_meta_step).tolist()
    return loss, accuracy, trajectory_loss if config.trajectory_weight else None


@dataclass(frozen=True, slots=True)
class DrawnLearner:
    """A learner of a meta step, and the real images that it is measured on."""

    learner: nn.Module
    real: Split
    seed: int
    name: str  # for errors


def draw_learner(inputs: MetaStepInputs, index: int) -> DrawnLearner:
    """Learner number `index` of the meta step, on the device of the training data."""
    learner_seed = derive_seed(inputs.seed, "learner", inputs.step, index)
    learner = inputs.sampler(
        image_shape=inputs.curriculum.image_shape,
        num_classes=inputs.curriculum.num_classes,
        seed=learner_seed,
    )
    rng = torch_generator(inputs.seed, "real", inputs.step, index)
    return DrawnLearner(
        learner.to(inputs.train.labels.device),
        outer_batch(inputs.train, inputs.config, rng),
        learner_seed,
        f"{learner_name(inputs.sampler)} (seed {learner_seed})",
    )


def _objective(found: OuterLoss, learner: str, step: int, config: MetaTrainingConfig) -> Tensor:
    """What one learner adds to what a meta step lowers; raises MetaTrainingDiverged."""
    require_finite(found.loss.item(), "outer loss", learner, step, config)
    if found.trajectory_loss is None:
        return found.loss
    # The outer loss is finite, so it is the expert that went astray.
    what = f"distance from the expert, with real_learning_rate {config.real_learning_rate:g},"
    require_finite(found.trajectory_loss.item(), what, learner, step, config)
    return found.loss + config.trajectory_weight * found.trajectory_loss
