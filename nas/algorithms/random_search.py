"""Uniform random search: the baseline that every other algorithm has to beat."""

import numpy as np

from gtn_core.strict_model import StrictModel
from nas.algorithms.base import Rewards
from nas.architecture import Architecture
from nas.search_spaces.base import SearchSpace


class RandomSearchConfig(StrictModel):
    """Random search has nothing to choose."""


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
