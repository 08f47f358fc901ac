"""One meta step: fresh learners are taught, and their loss on real data improves what taught them."""

import math
from dataclasses import dataclass
from statistics import mean

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from gtn_core.augmentation import augmentation
from gtn_core.config import MetaGradientForm, MetaTrainingConfig
from gtn_core.data import Split
from gtn_core.errors import MetaTrainingDiverged
from gtn_core.learners import LearnerSampler, learner_name
from gtn_core.meta_training_state import MetaTrainingState
from gtn_core.outer_loss import outer_loss
from gtn_core.randomness import derive_seed, torch_generator
from gtn_core.windows import draw_window

RUNNING_NORM_DECAY = 0.95
"""Of the mean norm that meta-gradients are clipped against: it remembers about twenty meta steps."""


@dataclass(frozen=True, slots=True)
class MetaStepOutcome:
    """What the learners of one meta step reached on real training images, averaged over them."""

    loss: float  # outer loss, nats
    accuracy: float  # after the last inner step, in [0, 1]
    gradient_norm: float  # of the meta-gradient, before clipping


def meta_step(
    state: MetaTrainingState,
    train: Split,
    sampler: LearnerSampler,
    config: MetaTrainingConfig,
    *,
    seed: int,
    form: MetaGradientForm = "graph",
) -> MetaStepOutcome:
    """Update the curriculum once; all that is random is drawn from (`seed`, the state's step).

    Raises MetaTrainingDiverged, with all weights as before, when a loss or the meta-gradient is not finite.
    """
    curriculum, step = state.curriculum, state.step
    curriculum.zero_grad()
    windows = [
        draw_window(config, step, torch_generator(seed, "window", step, index))
        for index in range(config.learners_per_meta_step)
    ]
    synthetic = curriculum(
        torch_generator(seed, "order", step),
        recompute=form != "graph",
        learned=range(min(each.start for each in windows), max(each.stop for each in windows)),
    )
    # The learners' gradients add up in these leaves, so that the generator is gone back through only once.
    leaves = synthetic.detach_as_leaves()
    losses, accuracies = [], []
    for index, window in enumerate(windows):
        learner_seed = derive_seed(seed, "learner", step, index)
        learner = sampler(
            image_shape=curriculum.image_shape, num_classes=curriculum.num_classes, seed=learner_seed
        ).to(train.labels.device)
        real = _random_batch(train, config, torch_generator(seed, "real", step, index))
        loss, accuracy = outer_loss(learner, leaves, real, config, form=form, window=window)
        name = f"{learner_name(sampler)} (seed {learner_seed})"
        _require_finite(loss.item(), "outer loss", name, step, config)
        torch.autograd.backward(loss / config.learners_per_meta_step)
        losses.append(loss.item())
        accuracies.append(accuracy.item())
    synthetic.backward_from(leaves)
    gradients = [parameter.grad for parameter in curriculum.parameters() if parameter.grad is not None]
    norm = get_total_norm(gradients)
    _require_finite(norm.item(), "norm of the meta-gradient", name, step, config)
    _clip(state, config, norm)
    _set_learning_rate(state, config)
    state.optimizer.step()
    state.step += 1
    return MetaStepOutcome(mean(losses), mean(accuracies), norm.item())


def _random_batch(split: Split, config: MetaTrainingConfig, rng: torch.Generator) -> Split:
    """Images drawn with replacement, and augmented as configured."""
    index = torch.randint(len(split), (config.outer_batch_size,), generator=rng).to(split.labels.device)
    return Split(augmentation(config.augment)(split.images[index], rng), split.labels[index])


def _clip(state: MetaTrainingState, config: MetaTrainingConfig, norm: Tensor) -> None:
    """Hold the meta-gradient's norm to a multiple of its running mean, which is kept in the state."""
    limit = config.clip_factor * (state.running_norm or norm.item()) if config.gradient_clipping else math.inf
    if config.gradient_clipping:
        clip_grads_with_norm_(state.curriculum.parameters(), limit, norm)
    clipped = min(norm.item(), limit)
    previous = state.running_norm or clipped
    state.running_norm = RUNNING_NORM_DECAY * previous + (1 - RUNNING_NORM_DECAY) * clipped


def _set_learning_rate(state: MetaTrainingState, config: MetaTrainingConfig) -> None:
    """Cosine decay from the configured rate to its final fraction, as a function of the step alone."""
    floor = config.final_learning_rate_fraction
    cosine = (1 + math.cos(math.pi * state.step / config.meta_steps)) / 2
    for group in state.optimizer.param_groups:
        group["lr"] = config.outer_learning_rate * (floor + (1 - floor) * cosine)


def _require_finite(value: float, what: str, learner: str, step: int, config: MetaTrainingConfig) -> None:
    if math.isfinite(value):
        return
    raise MetaTrainingDiverged(
        f"meta step {step + 1}: the {what} is {value} for {learner}; lower outer_learning_rate "
        f"({config.outer_learning_rate:g}), clip_factor ({config.clip_factor:g}) or initial_learning_rate "
        f"({config.initial_learning_rate:g})",
        meta_step=step + 1,
        learner=learner,
        value=value,
    )
