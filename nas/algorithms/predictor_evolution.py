"""Evolution guided by a predictor: many mutants are judged by a model of the rewards, one is evaluated.

As in BANANAS (White et al., AAAI 2021): an ensemble predicts what was not evaluated, mutants of the best are
its pool, and what is proposed maximises an optimistic prediction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from heapq import nlargest

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gtn_core.strict_model import StrictModel
from nas.algorithms.base import Rewards
from nas.architecture import Architecture
from nas.search_spaces.base import SearchSpace

MAX_TRAINING = 500
"""Architectures that the predictor is fitted to: the most recent half, and the best of the others."""

FITTED_PER_FIT = 100
"""It is fitted again when what is known has grown by its 100th part: a large cluster would wait for more."""


class PredictorEvolutionConfig(StrictModel):
    """Sizes of the start, the pool and the ensemble."""

    initial_samples: int = Field(
        20, ge=4, le=100_000, description="Random architectures before the predictor is used."
    )
    parents: int = Field(10, ge=1, le=1000, description="Best architectures whose children fill the pool.")
    pool_size: int = Field(
        100, ge=2, le=10_000, description="Architectures that the predictor judges for each proposal."
    )
    ensemble_size: int = Field(5, ge=2, le=100, description="Models, each fitted to a resample.")
    optimism: float = Field(
        0.5, ge=0, le=10, description="Standard deviations of the ensemble added to its mean."
    )


class PredictorEvolution:
    """Proposes the most promising of many children of the best architectures."""

    name = "predictor_evolution"
    description = "Evolution guided by an ensemble of kernel regressors on the features of the space."
    Config = PredictorEvolutionConfig

    def __init__(self, space: SearchSpace, config: PredictorEvolutionConfig) -> None:
        self.space, self.config = space, config
        self.parents: tuple[Architecture, ...] = ()
        self._told: list[_Told] = []
        self._seen: set[str] = set()
        self._ensemble: tuple[int, _Ensemble] | None = None  # with how much it is fitted to
        self._is_admitted: Callable[[Architecture], bool] = lambda _: True
        # Most of what the next ensemble is fitted to the last one was fitted to as well.
        self._features = lru_cache(maxsize=2 * MAX_TRAINING)(space.features)

    def constrain(self, is_admitted: Callable[[Architecture], bool]) -> None:
        """Pass over children that are never evaluated: nothing is learned of them, and they come again."""
        self._is_admitted = is_admitted

    def ask(self, rng: np.random.Generator) -> Architecture:
        """Propose the child with the best prediction, or any architecture while too few are known."""
        pool = self._pool(rng) if len(self._told) >= self.config.initial_samples else []
        if not pool:
            self.parents = ()
            return self.space.sample(rng)
        features = np.stack([self.space.features(child.architecture) for child in pool])
        promise = self._fitted().optimistic(features, self.config.optimism)
        order: list[int] = np.argsort(-promise, kind="stable").tolist()
        best_first = [pool[place] for place in order]
        best = next((each for each in best_first if self._is_admitted(each.architecture)), best_first[0])
        self.parents = best.parents
        return best.architecture

    def tell(self, architecture: Architecture, rewards: Rewards | None) -> None:
        """Learn a reward; a failed architecture is not proposed again, and nothing else is learnt from it."""
        self._seen.add(self.space.canonical_hash(architecture))
        if rewards is not None:
            self._told.append((architecture, rewards[0]))

    def _pool(self, rng: np.random.Generator) -> "list[_Child]":
        """Children of the best that were not evaluated: mutants, twice mutated ones, and crossovers."""
        best = nlargest(self.config.parents, self._told, key=_reward)
        parents = [architecture for architecture, _ in best]
        pool: dict[str, _Child] = {}
        for _ in range(self.config.pool_size):
            child = parents[rng.integers(len(parents))]
            made_from = [child]
            kind = rng.integers(3)
            if kind == 2:
                made_from.append(parents[rng.integers(len(parents))])
                child = self.space.crossover(child, made_from[1], rng)
            for _ in range(1 + (kind == 1)):
                child = self.space.mutate(child, rng)
            canonical_hash = self.space.canonical_hash(child)
            if canonical_hash not in self._seen:
                pool.setdefault(canonical_hash, _Child(child, tuple(dict.fromkeys(made_from))))
        return list(pool.values())

    def _fitted(self) -> "_Ensemble":
        """Fitted to as much as follows from how much is known, so that a replay has the same."""
        number = len(self._told) - len(self._told) % max(1, len(self._told) // FITTED_PER_FIT)
        if self._ensemble is None or self._ensemble[0] != number:
            self._ensemble = number, self._fit(self._told[:number])
        return self._ensemble[1]

    def _fit(self, told: "list[_Told]") -> "_Ensemble":
        recent = told[-MAX_TRAINING // 2 :]
        older = nlargest(MAX_TRAINING - len(recent), told[: -len(recent)], key=_reward)
        training = [*older, *recent]
        features = np.stack([self._features(architecture) for architecture, _ in training])
        rewards = np.array([reward for _, reward in training])
        return _Ensemble(features, rewards, self.config.ensemble_size, seed=len(told))


_Told = tuple[Architecture, float]


def _reward(told: _Told) -> float:
    return told[1]


@dataclass(frozen=True, slots=True)
class _Child:
    """A mutant, or a mutant of a crossover of two."""

    architecture: Architecture
    parents: tuple[Architecture, ...]


class _Ensemble:
    """Kernel ridge regressors on bootstrap resamples; rewards as normal quantiles of their ranks.

    Ranks, because a few failed trainings among the rewards would otherwise stretch the scale.
    """

    def __init__(
        self, features: NDArray[np.float64], rewards: NDArray[np.float64], size: int, *, seed: int
    ) -> None:
        from scipy.special import ndtri
        from scipy.stats import rankdata
        from sklearn.kernel_ridge import KernelRidge

        rng = np.random.default_rng(seed)
        targets = ndtri((rankdata(rewards) - 0.5) / len(rewards))
        # Features are mostly one-hot: a length scale of their own number of differences is a mild one.
        self._gamma = 1.0 / max(1.0, features.sum(axis=1).mean())
        self._models = []
        for _ in range(size):
            drawn = rng.integers(len(features), size=len(features))
            model = KernelRidge(alpha=0.1, kernel="rbf", gamma=self._gamma)
            self._models.append(model.fit(features[drawn], targets[drawn]))

    def optimistic(self, features: NDArray[np.float64], optimism: float) -> NDArray[np.float64]:
        """Mean of the predictions plus `optimism` standard deviations, [N]."""
        predictions = np.stack([model.predict(features) for model in self._models])
        optimistic: NDArray[np.float64] = predictions.mean(axis=0) + optimism * predictions.std(axis=0)
        return optimistic
