"""Search algorithms know ask and tell; everything else (duplicates, constraints, failures) is `nas.search`.

Randomness is passed in: the search gives candidate number n a generator seeded with (search seed, n).
A search that was killed and replayed through `tell` therefore continues exactly as it would have.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel

from nas.architecture import Architecture


@runtime_checkable
class SearchAlgorithm(Protocol):
    """A search strategy over one space; rewards are higher-is-better."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def config(self) -> BaseModel:
        """The algorithm's own frozen parameters."""
        ...

    def ask(self, rng: np.random.Generator) -> Architecture:
        """Propose an architecture. May be called again at once when a proposal is refused."""
        ...

    def tell(self, architecture: Architecture, reward: float | None) -> None:
        """Learn the reward of an evaluated architecture; None when its evaluation failed."""
        ...
