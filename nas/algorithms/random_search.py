"""Uniform random search: the baseline that every other algorithm has to beat."""

import numpy as np
from pydantic import BaseModel, ConfigDict

from nas.algorithms.base import Rewards
from nas.architecture import Architecture
from nas.search_spaces.base import SearchSpace


class RandomSearchConfig(BaseModel):
    """Random search has nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RandomSearch:
    """Draws each architecture uniformly over encodings and learns nothing from rewards."""

    name = "random_search"
    description = "Uniform random search over the encodings of the space."
    Config = RandomSearchConfig

    def __init__(self, space: SearchSpace, config: RandomSearchConfig) -> None:
        self.space, self.config = space, config

    def ask(self, rng: np.random.Generator) -> Architecture:
        """Draw one architecture."""
        return self.space.sample(rng)

    def tell(self, architecture: Architecture, rewards: Rewards | None) -> None:
        """Forget it."""
