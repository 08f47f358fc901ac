"""An ensemble of estimators that needs no labels: the sum of log-ranks of their readouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from nas.architecture import Architecture
from nas.estimators.base import CandidateScore, EstimatorData
from nas.estimators.log_rank import log_rank
from nas.estimators.panel import Panel, PanelConfig
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    import torch


class EnsembleConfig(PanelConfig):
    """Who is asked; by default the zero-cost proxies."""

    readout: Literal["log_rank"] = Field("log_rank", description="The aggregate; nothing else is the score.")

    readouts: ClassVar[tuple[str, ...]] = ("log_rank",)


class Ensemble:
    """Ranks every readout among a fixed sample of the space and adds up the logarithms."""

    name: ClassVar[str] = "ensemble"
    description: ClassVar[str] = "Log-rank aggregation of other estimators' readouts; needs no labels."
    Config: ClassVar[type[EnsembleConfig]] = EnsembleConfig

    def __init__(self, data: EstimatorData, config: EnsembleConfig, device: torch.device) -> None:
        self.config = config
        self._panel = Panel(data, config, device)

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        """Ask all members and rank what they say. Raises CandidateFailed."""
        reference = self._panel.reference(space, seed=seed)
        score, readouts = self._panel.ask(space, architecture, seed=seed)
        (aggregate,) = log_rank(reference, readouts[None])
        score.extra.update(log_rank=float(aggregate), score=float(aggregate))
        return score
