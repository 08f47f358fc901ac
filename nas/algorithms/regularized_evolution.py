"""Regularized evolution (Real et al., "Regularized Evolution for Image Classifier Architecture Search").

Algorithm 1 of the paper (AAAI 2019): the population is the most recent architectures; the best of a random
sample of it is mutated, the mutant is evaluated and joins, and the oldest leaves, however good it was.
"""

from collections import deque
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from gtn_core.strict_model import StrictModel
from nas.algorithms.base import Rewards
from nas.architecture import Architecture
from nas.search_spaces.base import SearchSpace


class RegularizedEvolutionConfig(StrictModel):
    """P and S of the paper."""

    population_size: int = Field(
        default=20, ge=2, le=10_000_000, description="Architectures that are alive at a time (P)."
    )
    # 10 of 20 found the best NAS-Bench-201 cell more often than 5 (benchmarks/bench_search.py, noise-free).
    sample_size: int = Field(default=10, ge=1, description="Architectures in a tournament (S).")

    @model_validator(mode="after")
    def _sample_fits_population(self) -> Self:
        if self.sample_size > self.population_size:
            raise ValueError(
                f"sample_size {self.sample_size} is larger than population_size {self.population_size}"
            )
        return self


class RegularizedEvolution:
    """Mutates the best of a random sample of the population; age, not rank, decides who leaves it.

    Until the population is full, proposals are drawn from the whole space. A failed candidate is no part of
    the population: it can neither be a parent nor push out an older one.
    """

    name = "regularized_evolution"
    description = "Tournament selection and mutation over a population whose oldest member leaves."
    Config = RegularizedEvolutionConfig

    def __init__(self, space: SearchSpace, config: RegularizedEvolutionConfig) -> None:
        self.space, self.config = space, config
        self.parents: tuple[Architecture, ...] = ()
        self._population: deque[tuple[Architecture, float]] = deque(maxlen=config.population_size)

    def ask(self, rng: np.random.Generator) -> Architecture:
        """Propose a mutant of a tournament's winner, or any architecture while the population grows."""
        if len(self._population) < self.config.population_size:
            self.parents = ()
            return self.space.sample(rng)
        winner = self._tournament(rng)
        self.parents = (winner,)
        return self.space.mutate(winner, rng)

    def tell(self, architecture: Architecture, rewards: Rewards | None) -> None:
        """Let an evaluated architecture join; the oldest leaves a full population."""
        if rewards is not None:
            self._population.append((architecture, rewards[0]))

    def _tournament(self, rng: np.random.Generator) -> Architecture:
        """The best of `sample_size` members drawn without replacement; the first drawn among equals."""
        drawn = rng.choice(len(self._population), size=self.config.sample_size, replace=False)
        winner, _ = max((self._population[index] for index in drawn), key=lambda member: member[1])
        return winner
