"""How fast learners learn from a checkpoint's synthetic data, beside real data of the same batch size."""

from dataclasses import dataclass
from itertools import product
from statistics import mean, stdev

import torch

from gtn_core import ConvNetSampler, DatasetSplits, FrozenCheckpoint, SyntheticCurriculum
from gtn_core.learning_curves import REAL_LEARNING_RATES, REAL_MOMENTA, learning_curve, real_curriculum

REAL_STEP_FACTORS = (1, 2, 4)
"""Real data are measured at these multiples of the curriculum's steps."""


@dataclass(frozen=True, slots=True)
class LearningSpeed:
    """Validation accuracy of fresh learners after a number of steps."""

    data: str
    steps: int
    learners: int
    mean: float
    deviation: float  # sample standard deviation over learners


def measure_learning_speed(
    checkpoint: FrozenCheckpoint, splits: DatasetSplits, *, learners: int = 5, seed: int = 1
) -> list[LearningSpeed]:
    """Train fresh learners of meta-training's own kind on the curriculum, and on real batches.

    Real data get the best learning rate and momentum of a grid at every number of steps, chosen on the
    validation data that they are then measured on: the benefit of the doubt is theirs.
    """
    sampler = ConvNetSampler(checkpoint.manifest.config)

    def measure(data: str, curricula: list[SyntheticCurriculum]) -> LearningSpeed:
        """One learner per curriculum."""
        accuracies: list[float] = []
        for number, curriculum in enumerate(curricula):
            learner = sampler(
                image_shape=splits.image_shape, num_classes=splits.num_classes, seed=seed + number
            )
            accuracies += learning_curve(learner, curriculum, splits.validation, [len(curriculum)])
        return LearningSpeed(data, len(curricula[0]), learners, mean(accuracies), stdev(accuracies))

    synthetic = checkpoint.synthesize()
    rows = [measure("synthetic (GTN)", [synthetic] * learners)]
    for factor in REAL_STEP_FACTORS:
        steps, batch_size = factor * len(synthetic), synthetic.images.shape[1]
        settings = list(product(REAL_LEARNING_RATES, REAL_MOMENTA))
        tuned = [
            measure(
                f"real, best of {len(settings)} settings",
                [
                    real_curriculum(
                        splits,
                        steps=steps,
                        batch_size=batch_size,
                        learning_rate=rate,
                        momentum=momentum,
                        rng=torch.Generator().manual_seed(seed + number),
                    )
                    for number in range(learners)
                ],
            )
            for rate, momentum in settings
        ]
        rows.append(max(tuned, key=lambda row: row.mean))
    return rows
