"""Local search (White, Nolen & Savani, "Exploring the Loss Landscape in NAS", UAI 2021).

From a start, evaluate neighbours; move where it is better; at a local optimum begin again elsewhere.
"""

from collections import deque
from collections.abc import Callable

import numpy as np
from pydantic import Field

from gtn_core.strict_model import StrictModel
from nas.algorithms.base import Rewards
from nas.architecture import Architecture
from nas.search_spaces.base import SearchSpace


class LocalSearchConfig(StrictModel):
    """How a search begins, and how eager it moves."""

    initial_samples: int = Field(
        10, ge=1, le=100_000, description="Random architectures, the best of which is the first start."
    )
    move_at_once: bool = Field(
        True,
        description="Move to the first neighbour that is better, as the defaults were best in "
        "benchmarks/bench_search.py; false: to the best of all neighbours, as in the paper's Algorithm 1.",
    )


class LocalSearch:
    """Hill climbing with restarts. Neighbours count as evaluated once an isomorphic architecture was.

    What was told is looked at by the next `ask`. Only there it may be asked what the constraints admit, and
    as few architectures as possible: each takes a while, and a move has hundreds of neighbours.
    """

    name = "local_search"
    description = "Hill climbing over neighbours, beginning again at random at a local optimum."
    Config = LocalSearchConfig

    def __init__(self, space: SearchSpace, config: LocalSearchConfig) -> None:
        self.space, self.config = space, config
        self.parents: tuple[Architecture, ...] = ()
        self._news: deque[tuple[Architecture, float | None]] = deque()  # told, not looked at yet
        self._rewards: dict[str, float | None] = {}  # by canonical hash; None where the evaluation failed
        self._best_start: tuple[Architecture, float] | None = None
        self._starts = 0
        self._current: tuple[Architecture, float] | None = None
        self._neighbours: dict[str, Architecture] = {}  # of the current one, by canonical hash
        self._open: dict[str, Architecture] = {}  # those not evaluated yet, or never to be
        self._is_admitted: Callable[[Architecture], bool] = lambda _: True

    def constrain(self, is_admitted: Callable[[Architecture], bool]) -> None:
        """Leave out neighbours that are never evaluated: a search that waits for them would not go on."""
        self._is_admitted = is_admitted

    def ask(self, rng: np.random.Generator) -> Architecture:
        """Propose a neighbour of the current architecture, or any one to start from."""
        while self._news:
            self._learn(*self._news[0])
            self._news.popleft()
        self._leave_if_explored()
        if self._current is None:
            self.parents = ()
            return self.space.sample(rng)
        self.parents = (self._current[0],)
        neighbours = list(self._open.values())
        while not self._is_admitted(neighbour := neighbours.pop(rng.integers(len(neighbours)))):
            pass
        return neighbour

    def tell(self, architecture: Architecture, rewards: Rewards | None) -> None:
        """Take it in, for the next `ask`."""
        self._news.append((architecture, rewards[0] if rewards else None))

    def _learn(self, architecture: Architecture, reward: float | None) -> None:
        """Move if this is better; a start if there is no current architecture."""
        canonical_hash = self.space.canonical_hash(architecture)
        if canonical_hash not in self._open:  # else there was one to evaluate: this one
            self._leave_if_explored()
        self._rewards[canonical_hash] = reward
        self._open.pop(canonical_hash, None)
        if self._current is None:
            self._learn_start(architecture, reward)
        elif reward is not None and reward > self._current[1] and self.config.move_at_once:
            self._move(architecture, reward)

    def _learn_start(self, architecture: Architecture, reward: float | None) -> None:
        """The best of the first samples is the first start; later ones are single."""
        self._starts += 1
        if reward is not None and (self._best_start is None or reward > self._best_start[1]):
            self._best_start = architecture, reward
        if self._best_start is not None and self._starts >= self.config.initial_samples:
            self._move(*self._best_start)
            self._best_start = None

    def _move(self, architecture: Architecture, reward: float) -> None:
        self._current = architecture, reward
        neighbours = {self.space.canonical_hash(each): each for each in self.space.neighbours(architecture)}
        neighbours.pop(self.space.canonical_hash(architecture), None)
        self._neighbours = neighbours
        self._open = {key: each for key, each in neighbours.items() if key not in self._rewards}

    def _leave_if_explored(self) -> None:
        """Once all neighbours are evaluated, go to the best one if it is better, else begin again."""
        while self._current is not None and not any(map(self._is_admitted, self._open.values())):
            rewards = [
                (reward, key) for key in self._neighbours if (reward := self._rewards.get(key)) is not None
            ]
            best, key = max(rewards, default=(-np.inf, ""))
            if best > self._current[1]:
                self._move(self._neighbours[key], best)
            else:
                self._current = None
                self._open = {}
