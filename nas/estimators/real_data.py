"""The control of the GTN score: steps of the same size, on real training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nas.estimators.base import EstimatorData
from nas.estimators.brief_training import BriefTraining
from nas.estimators.real_batches import RealBatches, RealBatchesConfig
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    import torch

    from gtn_core.curriculum import SyntheticCurriculum


class RealData(BriefTraining):
    """Trains on real batches: the curriculum's batch size, as many steps as asked for, the same readouts."""

    name: ClassVar[str] = "real_data"
    description: ClassVar[str] = "Brief training on real batches: the control of the gtn estimator."
    Config: ClassVar[type[RealBatchesConfig]] = RealBatchesConfig

    def __init__(self, data: EstimatorData, config: RealBatchesConfig, device: torch.device) -> None:
        self.config = config
        self._batches = RealBatches(data, config, device)
        self._validation = self._batches.validation

    def _curriculum(self, seed: int, space: SearchSpace) -> SyntheticCurriculum:
        return self._batches.curriculum(seed, space)
