"""Real batches: those of an outer loss, and those of inner steps, which may follow the synthetic ones."""

import torch

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
    real = real_batches(train, config.real_steps, curriculum, config, rng)
    taught = curriculum.first(window.stop).followed_by(real)
    return taught, Window(window.start, len(taught))


def real_batches(
    train: Split,
    steps: int,
    like: SyntheticCurriculum,
    config: MetaTrainingConfig,
    rng: torch.Generator,
) -> SyntheticCurriculum:
    """`steps` inner steps on real images, drawn with replacement, with batch size and optimizer of `like`."""
    _, batch_size, num_classes = like.labels.shape
    index = torch.randint(len(train), (steps, batch_size), generator=rng).to(train.labels.device)
    return SyntheticCurriculum.of_real(
        train,
        index,
        num_classes=num_classes,
        learning_rate=config.real_learning_rate,
        momentum=config.real_momentum,
        inner_optimizer=like.inner_optimizer,
    )
