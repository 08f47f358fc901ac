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


MOST_AT_ONCE = 1000
"""Candidates: the table of their pairs grows with the square, and beyond takes longer than one by one."""


def agreement(proxy: Array, truth: Array, *, seed: int, resamples: int) -> Agreement:
    """Of two sequences [N]; `seed` draws the resamples, the same for every pair of that length."""
    rng = np.random.default_rng(seed)
    n = len(proxy)
    chosen = np.array([rng.integers(n, size=n) for _ in range(resamples)] if n else [], dtype=np.intp)

    def interval(correlation: Callable[..., float], of_resamples: Callable[..., Array]) -> Interval:
        if 0 < n <= MOST_AT_ONCE:
            resampled = of_resamples(proxy, truth, chosen)
        else:
            resampled = np.array([correlation(proxy[index], truth[index]) for index in chosen])
        valid = resampled[~np.isnan(resampled)]  # a resample may have a single value
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(valid, [tail, 1 - tail]) if len(valid) else (math.nan, math.nan)
        return Interval(correlation(proxy, truth), float(low), float(high))

    return Agreement(n, interval(spearman, _spearman_of_resamples), interval(kendall, _kendall_of_resamples))


def _spearman_of_resamples(x: Array, y: Array, chosen: NDArray[np.intp]) -> Array:
    """`spearman` of each row of indices [R, N], all at once; NaN where it has none."""
    from scipy.stats import rankdata  # 60 MiB that no worker needs

    middle = (chosen.shape[1] + 1) / 2
    x_ranks, y_ranks = (rankdata(values[chosen], axis=1) - middle for values in (x, y))
    return _ratio((x_ranks * y_ranks).sum(1), (x_ranks**2).sum(1), (y_ranks**2).sum(1))


def _kendall_of_resamples(x: Array, y: Array, chosen: NDArray[np.intp]) -> Array:
    """`kendall` of each row of indices [R, N], all at once; NaN where it has none.

    How two candidates stand to each other is the same in every resample; it only counts as often as the
    resample has that pair.
    """
    n = chosen.shape[1]
    times = np.array([np.bincount(row, minlength=n) for row in chosen], dtype=np.float64)  # [R, N]
    x_places, y_places = (np.unique(values, return_inverse=True)[1] for values in (x, y))
    x_signs, y_signs = (np.sign(each[:, None] - each[None]) for each in (x_places, y_places))

    def total(signs: NDArray[np.int_]) -> Array:
        of_pairs: Array = (times * (times @ signs.T.astype(np.float64))).sum(1)
        return of_pairs

    found = _ratio(total(x_signs * y_signs), total(x_signs**2), total(y_signs**2))
    found[times[:, np.isnan(x) | np.isnan(y)].any(1)] = math.nan
    return found


def _ratio(both: Array, first: Array, second: Array) -> Array:
    with np.errstate(invalid="ignore"):  # where all are equal, 0 / 0
        return both / np.sqrt(first * second)


def defined(value: float) -> float | None:
    """The value, or None for NaN."""
    return None if math.isnan(value) else value
