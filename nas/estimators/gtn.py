"""The GTN score: what a candidate learns from the synthetic curriculum, measured on real validation data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from nas.estimators.base import EstimatorData
from nas.estimators.brief_training import BriefTraining, BriefTrainingConfig, laid_out, laid_out_split
from nas.estimators.resident_data import synthetic_curriculum, validation_split
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    import torch

    from gtn_core.curriculum import SyntheticCurriculum


class GTNConfig(BriefTrainingConfig):
    """How often a candidate goes through the curriculum, and what it is judged by."""

    needs_train_data: ClassVar[bool] = False

    passes: int = Field(
        1,
        ge=1,
        le=100,
        description="Passes over the curriculum, its rates included; after 4 passes over 32 steps late "
        "training losses ranked far better than after 1.",
    )


class GTN(BriefTraining):
    """Trains on the curriculum with the checkpoint's own inner optimizer (Such et al., ICML 2020)."""

    name: ClassVar[str] = "gtn"
    description: ClassVar[str] = (
        "Brief training on the synthetic curriculum, measured on real validation data."
    )
    Config: ClassVar[type[GTNConfig]] = GTNConfig

    def __init__(self, data: EstimatorData, config: GTNConfig, device: torch.device) -> None:
        self.config = config
        self._synthetic = laid_out(synthetic_curriculum(data, device).repeated(config.passes), config)
        validation = validation_split(data, device, limit=config.validation_limit)
        self._validation = laid_out_split(validation, config)

    def _curriculum(self, seed: int, space: SearchSpace) -> SyntheticCurriculum:  # noqa: ARG002 - one for all
        return self._synthetic
