"""The curriculum as a warm start: synthetic steps first, then real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from nas.architecture import Architecture
from nas.estimators.base import CandidateScore, EstimatorData
from nas.estimators.brief_training import laid_out, score_by_training
from nas.estimators.readouts import TRAINING_READOUTS
from nas.estimators.real_batches import RealBatches, RealBatchesConfig
from nas.estimators.resident_data import synthetic_curriculum
from nas.estimators.schedules import beginning, repeated
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    import torch


class GTNThenRealConfig(RealBatchesConfig):
    """How many passes over the curriculum come before how many real steps."""

    passes: int = Field(1, ge=1, le=100, description="Passes over the curriculum, its rates included.")


class GTNThenReal:
    """Trains on the curriculum, then on real batches with the same inner optimizer; readouts cover both."""

    name: ClassVar[str] = "gtn_then_real"
    description: ClassVar[str] = "The synthetic curriculum as a warm start, then brief training on real data."
    Config: ClassVar[type[GTNThenRealConfig]] = GTNThenRealConfig
    readouts: ClassVar[tuple[str, ...]] = TRAINING_READOUTS
    needs_train_data: ClassVar[bool] = True

    def __init__(self, data: EstimatorData, config: GTNThenRealConfig, device: torch.device) -> None:
        self.config = config
        self._curriculum = laid_out(repeated(synthetic_curriculum(data, device), config.passes), config)
        self._batches = RealBatches(data, config, device, data.inner_optimizer)  # whose steps these are

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        """Train on synthetic, then on real batches, and measure. Raises CandidateFailed."""
        return self.estimate_in_part(space, architecture, seed=seed, share=1.0)

    def estimate_in_part(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, share: float
    ) -> CandidateScore:
        """The score after a share of the steps, trained from the start. Raises CandidateFailed."""
        return score_by_training(
            space,
            architecture,
            beginning(self._curriculum.followed_by(self._batches.curriculum(seed, space)), share),
            self._batches.validation,
            seed=seed,
            config=self.config,
        )
