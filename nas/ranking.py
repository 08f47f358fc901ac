"""Which architectures are best: order, Pareto front, and agreement between two orders."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.estimators.base import CandidateScore

DIRECTIONS: Mapping[str, int] = {
    "score": +1,
    "accuracy": +1,
    "loss": -1,
    "params": -1,
    "flops": -1,
    "seconds": -1,
    "latency_ms": -1,
}
"""Every objective: +1 when more is better, -1 when less is. A value times its direction is a gain."""


def reward(score: CandidateScore, objective: str) -> float:
    """What a search algorithm is told: the measurement, more is better."""
    return DIRECTIONS[objective] * float(getattr(score, objective))


def gains(scores: Sequence[CandidateScore], objectives: Sequence[str]) -> NDArray[np.float64]:
    """Higher-is-better values, float64 [N, M], one column for each objective."""
    columns = [[reward(score, name) for score in scores] for name in objectives]
    return np.array(columns, dtype=np.float64).T


def rank(scores: Sequence[CandidateScore], objectives: Sequence[str] = ("accuracy",)) -> list[int]:
    """Indices of `scores`, best first: by the first objective, ties by the next ones, then by index."""
    values = _without_nan(gains(scores, objectives))
    return [int(index) for index in np.lexsort(-values.T[::-1])]


def pareto_front(points: ArrayLike, directions: Sequence[int]) -> list[int]:
    """Indices, ascending, of the points that no other dominates.

    `points` is [N, M]; `directions` has +1 or -1 for each of the M objectives, as in `DIRECTIONS`. A point
    dominates another when it is nowhere worse and somewhere better, so equal points stand or fall together.
    O(N log N) for two objectives, O(N log N + N F) at worst otherwise, F being the size of the front.
    Raises ValueError for NaN.
    """
    values = _without_nan(np.asarray(points, dtype=np.float64).reshape(-1, len(directions)) * directions)
    distinct, position = _distinct(values)
    efficient = _efficient_of_two(distinct) if len(directions) == 2 else _efficient(distinct)
    return [int(index) for index in np.flatnonzero(efficient[position])]


def strongest(points: ArrayLike, directions: Sequence[int], count: int) -> list[tuple[float, ...]]:
    """At most `count` points of the front that together are better in every objective than the most others.

    Chosen greedily. Whatever is worse than one of them in every objective cannot be on the front of any
    larger set.
    """
    values = np.asarray(points, dtype=np.float64).reshape(-1, len(directions))
    front = pareto_front(values, directions)
    gained = values * directions
    beats = np.all(np.greater(gained[front][:, None, :], gained[None, :, :]), axis=2)  # [F, N]
    chosen: list[tuple[float, ...]] = []
    while len(chosen) < count and beats.any():
        best = int(beats.sum(axis=1).argmax())
        chosen.append(tuple(values[front[best]].tolist()))
        beats = beats & ~beats[best]
    return chosen


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rho, ties given their mean rank; NaN when either is constant or has fewer than 2 values."""
    from scipy.stats import spearmanr  # 60 MiB that no worker needs

    return float(spearmanr(x, y).statistic) if _have_order(x, y) else float("nan")


def kendall(x: ArrayLike, y: ArrayLike) -> float:
    """Kendall's tau-b; NaN when either is constant or has fewer than 2 values."""
    from scipy.stats import kendalltau

    return float(kendalltau(x, y, variant="b").statistic) if _have_order(x, y) else float("nan")


def _distinct(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The distinct rows in ascending order, and for each row its place among them."""
    order = np.lexsort(values.T[::-1])
    ascending = values[order]
    is_new = np.ones(len(values), dtype=bool)
    is_new[1:] = (ascending[1:] != ascending[:-1]).any(axis=1)
    position = np.empty(len(values), dtype=np.int64)
    position[order] = np.cumsum(is_new) - 1
    return ascending[is_new], position


def _efficient_of_two(distinct: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows after a row are at least as good in the first objective: none may be as good in the second."""
    second = distinct[:, 1]
    best_after = np.append(np.maximum.accumulate(second[::-1])[::-1][1:], -np.inf)[: len(second)]
    efficient: NDArray[np.bool_] = second > best_after
    efficient[-1:] = True  # even at minus infinity
    return efficient


def _efficient(distinct: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Best first by the sum of its places in all objectives: a row that none before it dominates stays.

    Each such row takes those that it dominates out of the running, a good one most of them.
    """
    places = np.stack([np.searchsorted(np.sort(column), column) for column in distinct.T])  # [M, N]
    remaining = np.argsort(-places.sum(axis=0), kind="stable")
    places = places[:, remaining]
    efficient = np.zeros(len(distinct), dtype=bool)
    while len(remaining):
        efficient[remaining[0]] = True
        undominated = np.logical_or.reduce([place > place[0] for place in places])
        remaining, places = remaining[undominated], places[:, undominated]
    return efficient


def _without_nan(values: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = np.flatnonzero(np.isnan(values).any(axis=1))
    if len(rows):
        raise ValueError(f"point {rows[0]} has a NaN and no place in an order; leave failed candidates out")
    return values


def _have_order(x: ArrayLike, y: ArrayLike) -> bool:
    if np.shape(x) != np.shape(y):
        raise ValueError(f"{np.shape(x)} values cannot be correlated with {np.shape(y)}")
    return all(np.size(values) >= 2 and np.ptp(np.asarray(values)) > 0 for values in (x, y))
