"""The GTN score: what a candidate learns from the synthetic curriculum, measured on real validation data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from nas.architecture import Architecture
from nas.estimators.base import CandidateScore, EstimatorData
from nas.estimators.brief_training import BriefTrainingConfig, laid_out, laid_out_split, score_by_training
from nas.estimators.readouts import TRAINING_READOUTS
from nas.estimators.resident_data import synthetic_curriculum, validation_split
from nas.estimators.schedules import beginning, repeated
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    import torch


class GTNConfig(BriefTrainingConfig):
    """How often a candidate goes through the curriculum, and what it is judged by."""

    passes: int = Field(1, ge=1, le=100, description="Passes over the curriculum, its rates included.")


class GTN:
    """Trains on the curriculum with the checkpoint's own inner optimizer (Such et al., ICML 2020)."""

    name: ClassVar[str] = "gtn"
    description: ClassVar[str] = (
        "Brief training on the synthetic curriculum, measured on real validation data."
    )
    Config: ClassVar[type[GTNConfig]] = GTNConfig
    readouts: ClassVar[tuple[str, ...]] = TRAINING_READOUTS
    needs_train_data: ClassVar[bool] = False

    def __init__(self, data: EstimatorData, config: GTNConfig, device: torch.device) -> None:
        self.config = config
        self._curriculum = laid_out(repeated(synthetic_curriculum(data, device), config.passes), config)
        validation = validation_split(data, device, limit=config.validation_limit)
        self._validation = laid_out_split(validation, config)

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        """Train on the curriculum and measure. Raises CandidateFailed."""
        return self.estimate_in_part(space, architecture, seed=seed, share=1.0)

    def estimate_in_part(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, share: float
    ) -> CandidateScore:
        """The score after a share of the steps, trained from the start. Raises CandidateFailed."""
        return score_by_training(
            space,
            architecture,
            beginning(self._curriculum, share),
            self._validation,
            seed=seed,
            config=self.config,
        )
