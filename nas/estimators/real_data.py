"""The control of the GTN score: as many steps of the same size, on real training data."""

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field

from gtn_core.curriculum import SyntheticCurriculum
from nas.architecture import Architecture
from nas.estimators.base import CandidateScore, EstimatorData
from nas.estimators.brief_training import score_by_training
from nas.estimators.resident_data import resident, validation_split
from nas.search_spaces.base import SearchSpace


class RealDataConfig(BaseModel):
    """SGD with momentum at constant rates, and what a candidate is measured on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Tuned on digits, 10 steps of 32 images, by the mean accuracy of 12 random NAS-Bench-201 cells: no rate
    # from 0.02 to 0.5 with a momentum from 0.5 to 0.9 is better by more than the standard error, 0.03.
    learning_rate: float = Field(0.1, gt=0, le=100, description="Learning rate of every step.")
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of every step.")
    initialisations: int = Field(1, ge=1, le=64, description="Initialisations that the score is a mean of.")
    validation_limit: int | None = Field(
        None, ge=1, description="Most validation images to measure on; null: all."
    )


class RealData:
    """Trains on real batches: the curriculum's number of steps and batch size, the same readouts."""

    name: ClassVar[str] = "real_data"
    description: ClassVar[str] = "Brief training on as many real batches: the control of the gtn estimator."
    Config: ClassVar[type[RealDataConfig]] = RealDataConfig
    needs_train_data: ClassVar[bool] = True

    def __init__(self, data: EstimatorData, config: RealDataConfig, device: torch.device) -> None:
        self.config = config
        self._images = resident(data.train_images, device)
        self._labels = resident(data.train_labels, device)
        self._validation = validation_split(data, device, limit=config.validation_limit)
        self._steps, self._batch_size, self._num_classes = data.curriculum_labels.shape

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        """Train on batches in the order of the seed and measure. Raises CandidateFailed."""
        return score_by_training(
            space,
            architecture,
            self._real_curriculum(seed),
            self._validation,
            seed=seed,
            initialisations=self.config.initialisations,
        )

    def _real_curriculum(self, seed: int) -> SyntheticCurriculum:
        """Real images in a curriculum's shape, so that nothing but the data differs from the GTN score."""
        order = _epochs(len(self._labels), self._steps * self._batch_size, np.random.default_rng(seed))
        index = torch.from_numpy(order).to(self._labels.device).view(self._steps, self._batch_size)
        rates = torch.ones(self._steps, device=self._labels.device)
        return SyntheticCurriculum(
            images=self._images[index],
            labels=F.one_hot(self._labels[index], self._num_classes).float(),
            learning_rates=rates * self.config.learning_rate,
            momenta=rates * self.config.momentum,
        )


def _epochs(size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `count` samples: pass after pass over the data, each in an order of its own."""
    passes = [rng.permutation(size) for _ in range(-(-count // size))]
    return np.concatenate(passes)[:count]
