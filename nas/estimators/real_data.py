"""The control of the GTN score: steps of the same size, on real training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nas.architecture import Architecture
from nas.estimators.base import CandidateScore, EstimatorData
from nas.estimators.brief_training import score_by_training
from nas.estimators.readouts import TRAINING_READOUTS
from nas.estimators.real_batches import RealBatches, RealBatchesConfig
from nas.estimators.schedules import beginning
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    import torch


class RealData:
    """Trains on real batches: the curriculum's batch size, as many steps as asked for, the same readouts."""

    name: ClassVar[str] = "real_data"
    description: ClassVar[str] = "Brief training on real batches: the control of the gtn estimator."
    Config: ClassVar[type[RealBatchesConfig]] = RealBatchesConfig
    readouts: ClassVar[tuple[str, ...]] = TRAINING_READOUTS
    needs_train_data: ClassVar[bool] = True

    def __init__(self, data: EstimatorData, config: RealBatchesConfig, device: torch.device) -> None:
        self.config = config
        self._batches = RealBatches(data, config, device)

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        """Train on batches in the order of the seed and measure. Raises CandidateFailed."""
        return self.estimate_in_part(space, architecture, seed=seed, share=1.0)

    def estimate_in_part(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, share: float
    ) -> CandidateScore:
        """The score after a share of the steps, trained from the start. Raises CandidateFailed."""
        return score_by_training(
            space,
            architecture,
            beginning(self._batches.curriculum(seed, space), share),
            self._batches.validation,
            seed=seed,
            config=self.config,
        )
