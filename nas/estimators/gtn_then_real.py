"""The curriculum as a warm start: synthetic steps first, then real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nas.estimators.base import EstimatorData
from nas.estimators.brief_training import BriefTraining, laid_out
from nas.estimators.gtn import GTNConfig
from nas.estimators.real_batches import RealBatches, RealBatchesConfig
from nas.estimators.resident_data import synthetic_curriculum
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    import torch

    from gtn_core.curriculum import SyntheticCurriculum


class GTNThenRealConfig(RealBatchesConfig, GTNConfig):
    """How many passes over the curriculum come before how many real steps."""

    needs_train_data: ClassVar[bool] = True


class GTNThenReal(BriefTraining):
    """Trains on the curriculum, then on real batches with the same inner optimizer; readouts cover both."""

    name: ClassVar[str] = "gtn_then_real"
    description: ClassVar[str] = "The synthetic curriculum as a warm start, then brief training on real data."
    Config: ClassVar[type[GTNThenRealConfig]] = GTNThenRealConfig

    def __init__(self, data: EstimatorData, config: GTNThenRealConfig, device: torch.device) -> None:
        self.config = config
        self._synthetic = laid_out(synthetic_curriculum(data, device).repeated(config.passes), config)
        self._batches = RealBatches(data, config, device, data.inner_optimizer)  # whose steps these are
        self._validation = self._batches.validation

    def _curriculum(self, seed: int, space: SearchSpace) -> SyntheticCurriculum:
        return self._synthetic.followed_by(self._batches.curriculum(seed, space))
