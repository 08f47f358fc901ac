"""Asynchronous successive halving (Li et al., "A System for Massively Parallel Hyperparameter Tuning").

The stopping variant (MLSys 2020; also Ray Tune's ASHAScheduler): a candidate trains on at each rung if it is
among the best 1/eta of those that reached the rung so far, and stops there otherwise. Nothing ever waits.
"""

import numpy as np
from pydantic import Field

from gtn_core.strict_model import StrictModel
from nas.algorithms.base import Rewards
from nas.architecture import Architecture
from nas.search_spaces.base import SearchSpace


class SuccessiveHalvingConfig(StrictModel):
    """Eta of the paper and the number of rungs."""

    reduction_factor: int = Field(
        3, ge=2, le=16, description="One candidate of so many trains on at each rung (eta)."
    )
    rungs: int = Field(
        3,
        ge=2,
        le=8,
        description="Depths at which candidates are judged, the full training included; each is "
        "reduction_factor times as deep as the one before.",
    )


class SuccessiveHalving:
    """Draws architectures at random and stops poor ones early.

    The score of a candidate that was stopped is that of the depth it reached, and says so (`depth`).
    """

    name = "successive_halving"
    description = "Random search that stops poor candidates early (ASHA), at rungs of the inner steps."
    Config = SuccessiveHalvingConfig
    multi_fidelity = True

    def __init__(self, space: SearchSpace, config: SuccessiveHalvingConfig) -> None:
        self.space, self.config = space, config
        self._rungs: list[list[float]] = [[] for _ in range(config.rungs)]

    @property
    def shares(self) -> tuple[float, ...]:
        """Powers of 1 / eta, up to 1."""
        return tuple(
            self.config.reduction_factor ** -float(rung) for rung in reversed(range(self.config.rungs))
        )

    def ask(self, rng: np.random.Generator) -> Architecture:
        """Draw one architecture."""
        return self.space.sample(rng)

    def tell(self, architecture: Architecture, rewards: Rewards | None) -> None:
        """Forget it: what matters was told at the rungs."""

    def goes_on(self, rung: int, reward: float) -> bool:
        """True for the best 1/eta at this rung so far; the first candidate there always goes on."""
        reached = self._rungs[rung]
        reached.append(reward)
        cutoff = np.quantile(reached, 1 - 1 / self.config.reduction_factor)
        return bool(reward >= cutoff)
