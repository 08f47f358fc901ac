"""Real batches: those of an outer loss, and inner steps on them that follow the synthetic ones."""

import torch
import torch.nn.functional as F

from gtn_core.augmentation import augmentation
from gtn_core.config import MetaTrainingConfig
from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import Split
from gtn_core.inner_loop import Window


def outer_batch(train: Split, config: MetaTrainingConfig, rng: torch.Generator) -> Split:
    """Images of an outer loss, drawn with replacement and augmented as configured."""
    index = torch.randint(len(train), (config.outer_batch_size,), generator=rng).to(train.labels.device)
    return Split(augmentation(config.augment)(train.images[index], rng), train.labels[index])


def with_real_steps(
    curriculum: SyntheticCurriculum,
    window: Window,
    train: Split,
    config: MetaTrainingConfig,
    rng: torch.Generator,
) -> tuple[SyntheticCurriculum, Window]:
    """What a learner is taught: the curriculum up to the window's end, then `real_steps` real batches.

    The window grows by the real steps: the meta-gradient goes back through them to the synthetic ones, so
    that these prepare for what follows. Without real steps both are returned as they are.
    """
    if not config.real_steps:
        return curriculum, window
    _, batch_size, classes = curriculum.labels.shape
    index = torch.randint(len(train), (config.real_steps, batch_size), generator=rng)
    index = index.to(train.labels.device)
    rates = curriculum.learning_rates.new_ones(config.real_steps)
    real = SyntheticCurriculum(
        images=train.images[index],
        labels=F.one_hot(train.labels[index], classes).to(curriculum.labels.dtype),
        learning_rates=config.real_learning_rate * rates,
        momenta=config.real_momentum * rates,
    )
    taught = curriculum.first(window.stop).followed_by(real)
    return taught, Window(window.start, len(taught))
