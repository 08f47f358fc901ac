"""Search algorithms know ask and tell; everything else (duplicates, constraints, failures) is `nas.search`.

Randomness is passed in: the search gives candidate number n a generator seeded with (search seed, n).
A search that was killed and replayed through `tell` therefore continues exactly as it would have.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel

from nas.architecture import Architecture

Rewards = Sequence[float]
"""One for each objective of the search, in their order, more is better."""


@runtime_checkable
class SearchAlgorithm(Protocol):
    """A search strategy over one space. Those with a single objective heed the first reward."""

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

    def tell(self, architecture: Architecture, rewards: Rewards | None) -> None:
        """Learn the rewards of an evaluated architecture; None when its evaluation failed."""
        ...


@runtime_checkable
class LineageAlgorithm(SearchAlgorithm, Protocol):
    """A strategy that makes architectures from earlier ones, and can tell from which."""

    @property
    def parents(self) -> tuple[Architecture, ...]:
        """What the latest answer of `ask` was made from, as told or isomorphic; empty if drawn at random."""
        ...


@runtime_checkable
class ConstrainedAlgorithm(SearchAlgorithm, Protocol):
    """A strategy that has to know which architectures the search will refuse, before it is told anything."""

    def constrain(self, is_admitted: Callable[[Architecture], bool]) -> None:
        """Learn what the constraints admit; the same answer for the same architecture, always.

        An answer may take a tenth of a second, so that it is for `ask` to look for it, not for `tell`. It may
        also be an exception, when the search is to stop: it has to pass, and `ask` is called again later.
        """
        ...


@runtime_checkable
class MultiFidelityAlgorithm(SearchAlgorithm, Protocol):
    """A strategy that looks at candidates before they are trained to the end, and stops poor ones."""

    multi_fidelity: bool

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the estimator's training after which a candidate is judged: ascending, the last is 1."""
        ...

    def goes_on(self, rung: int, reward: float) -> bool:
        """Learn a candidate's reward at `shares[rung]`, once; whether it is worth training further.

        After a restart the rewards of earlier candidates are told again, in the order of completion.
        """
        ...
