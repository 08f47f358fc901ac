"""How fast fresh learners learn from a checkpoint's data, beside real data and beside noise."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import product
from statistics import mean

import torch
from torch import Tensor, nn

from gtn_core.checkpoint import CurveName, FrozenCheckpoint, repack
from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import DatasetSplits, Split
from gtn_core.evaluation import evaluate
from gtn_core.inner_loop import train_on_curriculum
from gtn_core.learners import ConvNetSampler
from gtn_core.randomness import derive_seed, torch_generator

LEARNERS, IMAGES = 3, 1000
"""Behind each accuracy, which is a mean over learners; and validation images that it is measured on."""

REAL_LEARNING_RATES, REAL_MOMENTA = (0.1, 0.2, 0.4), (0.0, 0.9)
"""Around the best of the finer grid of `benchmarks/bench_learning_speed.py`."""


def with_learning_curves(
    checkpoint: FrozenCheckpoint,
    splits: DatasetSplits,
    *,
    learners: int = LEARNERS,
    images: int = IMAGES,
    device: str | torch.device = "cpu",
    on_learner: Callable[[], None] = lambda: None,
) -> FrozenCheckpoint:
    """The checkpoint with curves in its manifest: mean validation accuracy after each inner step.

    `gtn`: convnets of the configuration on the checkpoint's data. `real`: the same networks on as many real
    training batches as large, at the learning rate and momentum of a grid that end best on the validation
    images that are then measured; the benefit of the doubt is theirs. `noise`: on noise with the checkpoint's
    own labels and schedule. `on_learner` is called after each learner, and may raise to stop.
    """
    synthetic = checkpoint.synthesize().to(device)
    noise = torch.randn(synthetic.images.shape, generator=torch_generator(0, "noise images"))
    seen = first_images(splits.validation, images, device)
    sampler, seed = ConvNetSampler(checkpoint.manifest.config), checkpoint.manifest.seed

    def mean_curve(
        curricula: Iterable[SyntheticCurriculum], steps: Sequence[int] | None = None
    ) -> tuple[float, ...]:
        curves = []
        for number, curriculum in enumerate(curricula):
            learner = sampler(
                image_shape=splits.image_shape,
                num_classes=splits.num_classes,
                seed=derive_seed(seed, "learning curve", number),
            )
            curves.append(learning_curve(learner.to(device), curriculum, seen, steps))
            on_learner()
        return tuple(round(mean(accuracies), 4) for accuracies in zip(*curves, strict=True))

    def real(learning_rate: float, momentum: float) -> Iterable[SyntheticCurriculum]:
        for number in range(learners):
            yield real_curriculum(
                splits,
                steps=len(synthetic),
                batch_size=synthetic.images.shape[1],
                learning_rate=learning_rate,
                momentum=momentum,
                rng=torch_generator(seed, "real batches", number),
            ).to(device)

    last = [len(synthetic)]
    settings = list(product(REAL_LEARNING_RATES, REAL_MOMENTA))
    best = max(settings, key=lambda setting: mean_curve(real(*setting), last))
    curves: dict[CurveName, tuple[float, ...]] = {
        "gtn": mean_curve([synthetic] * learners),
        "real": mean_curve(real(*best)),
        "noise": mean_curve([replace(synthetic, images=noise.to(device))] * learners),
    }
    return repack(checkpoint, storage=checkpoint.manifest.storage, learning_curves=curves)


def learning_curve(
    learner: nn.Module, curriculum: SyntheticCurriculum, split: Split, steps: Sequence[int] | None = None
) -> list[float]:
    """Accuracies on `split` after each inner step, or after those of `steps` (from 1); trains `learner`."""
    curve: list[float] = []

    def measure(step: int, _loss: Tensor) -> None:
        if steps is None or step + 1 in steps:
            curve.append(evaluate(learner, split, batch_statistics=True).accuracy)

    train_on_curriculum(learner, curriculum, on_step=measure)
    return curve


def real_curriculum(
    splits: DatasetSplits,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    momentum: float,
    rng: torch.Generator,
) -> SyntheticCurriculum:
    """Batches of real training images in the form of a curriculum, so that nothing but the data differs.

    No image comes twice while they last.
    """
    needed = steps * batch_size
    epochs = -(-needed // len(splits.train))
    order = torch.cat([torch.randperm(len(splits.train), generator=rng) for _ in range(epochs)])
    index = order[:needed].view(steps, batch_size)
    return SyntheticCurriculum.of_real(
        splits.train, index, num_classes=splits.num_classes, learning_rate=learning_rate, momentum=momentum
    )


def first_images(split: Split, count: int, device: str | torch.device = "cpu") -> Split:
    """The first images of a split, which is in random order."""
    return Split(split.images[:count], split.labels[:count]).to(device)
