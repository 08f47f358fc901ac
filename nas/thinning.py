"""Which of very many points a plot needs: those that carry its shape, and never more than it can draw."""

import math

import numpy as np
from numpy.typing import NDArray


def improvements(gains: NDArray[np.float64], *, limit: int) -> NDArray[np.intp]:
    """Places at which a value is better than all before it, in order; the best-so-far curve is made of them.

    Of more than `limit` (at least 2) the first, the last and evenly spaced ones between are left. NaN is
    never an improvement.
    """
    known = np.where(np.isnan(gains), -np.inf, gains)
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(known)[:-1]]) if len(known) else known
    places = np.flatnonzero(known > best_before)
    if len(places) <= limit:
        return places
    return places[np.unique(np.linspace(0, len(places) - 1, limit).round().astype(np.intp))]


def spread(
    x: NDArray[np.float64], y: NDArray[np.float64], *, limit: int, keep: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Places, ascending, of about `limit` of the points [N] that look like all of them, and of `keep`.

    First one point of every occupied cell of a grid, so that no outlier is lost; then points at random, so
    that dense regions stay dense. The same points give the same places.
    """
    if len(x) <= limit:
        return np.arange(len(x))
    order = np.random.default_rng(0).permutation(len(x))
    side = max(1, math.isqrt(limit // 2))
    cells = side * _cell(x, side) + _cell(y, side)
    _, first = np.unique(cells[order], return_index=True)  # at most limit / 2
    chosen = np.zeros(len(x), dtype=bool)
    chosen[order[first]] = True
    rest = order[~chosen[order]]
    chosen[rest[: limit - int(chosen.sum())]] = True
    chosen[keep] = True
    return np.flatnonzero(chosen)


def _cell(values: NDArray[np.float64], side: int) -> NDArray[np.intp]:
    low, high = float(values.min()), float(values.max())
    if high == low:
        return np.zeros(len(values), dtype=np.intp)
    return np.minimum((values - low) / (high - low) * side, side - 1).astype(np.intp)
