"""Rank agreement of proxy scores with true accuracies, with bootstrap intervals."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.ranking import kendall, spearman

CONFIDENCE = 0.95

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with its bootstrap percentile interval; NaN where the data leave it undefined."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Plain values; None for NaN."""
        return {name: defined(getattr(self, name)) for name in ("value", "low", "high")}


@dataclass(frozen=True, slots=True)
class Agreement:
    """Rank correlation of proxy score and true accuracy over `n` candidates."""

    n: int
    spearman: Interval
    kendall: Interval

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return {"n": self.n, "spearman": self.spearman.to_json(), "kendall": self.kendall.to_json()}


def agreement(proxy: Array, truth: Array, *, seed: int, resamples: int) -> Agreement:
    """Of two sequences [N]; `seed` draws the resamples, the same for every pair of that length."""
    rng = np.random.default_rng(seed)
    n = len(proxy)
    chosen = [rng.integers(n, size=n) for _ in range(resamples)] if n else []

    def interval(correlation: Callable[..., float]) -> Interval:
        resampled = np.array([correlation(proxy[index], truth[index]) for index in chosen])
        valid = resampled[~np.isnan(resampled)]  # a resample may have a single value
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(valid, [tail, 1 - tail]) if len(valid) else (math.nan, math.nan)
        return Interval(correlation(proxy, truth), float(low), float(high))

    return Agreement(n, interval(spearman), interval(kendall))


def defined(value: float) -> float | None:
    """The value, or None for NaN."""
    return None if math.isnan(value) else value
