"""Tree-structured Parzen estimators (Bergstra et al., NeurIPS 2011), as Optuna has them."""

from typing import TYPE_CHECKING

from pydantic import Field

from gtn_core.strict_model import StrictModel
from nas.algorithms.optuna_search import OptunaSearch
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class TPEConfig(StrictModel):
    """Options of Optuna's TPESampler."""

    startup_candidates: int = Field(
        20, ge=1, le=100_000, description="Random architectures before the estimators are used."
    )
    expected_improvement_candidates: int = Field(
        24, ge=1, le=10_000, description="Draws from the good estimator, of which the best is proposed."
    )


class TPE(OptunaSearch):
    """Proposes what is likely among good architectures and unlikely among the others, choice by choice."""

    name = "tpe"
    description = "Tree-structured Parzen estimators over the choices of the space (Optuna)."
    Config = TPEConfig

    def __init__(self, space: SearchSpace, config: TPEConfig) -> None:
        super().__init__(space)
        self.config = config

    def sampler(self, seed: int) -> "BaseSampler":
        """Optuna's TPESampler."""
        from optuna.samplers import TPESampler

        return TPESampler(
            n_startup_trials=self.config.startup_candidates,
            n_ei_candidates=self.config.expected_improvement_candidates,
            seed=seed,
        )
