import math

import numpy as np
import pytest

from nas.estimators.base import CandidateScore
from nas.ranking import DIRECTIONS, gains, kendall, pareto_front, rank, spearman, strongest


def score(accuracy: float, *, loss: float = 1.0, params: int = 10, flops: int = 20) -> CandidateScore:
    return CandidateScore(accuracy, loss, (), params, flops, seconds=0.5, extra={})


def test_directions() -> None:
    gained, spent = ("score", "accuracy"), ("loss", "params", "flops", "seconds", "latency_ms")
    assert dict.fromkeys(gained, 1) | dict.fromkeys(spent, -1) == DIRECTIONS
    assert gains([score(0.9, loss=0.1), score(0.8, params=7)], ["accuracy", "loss", "params"]).tolist() == [
        [0.9, -0.1, -10],
        [0.8, -1.0, -7],
    ]


def test_rank_by_accuracy_then_index() -> None:
    scores = [score(0.5), score(0.9), score(0.5), score(0.7)]
    assert rank(scores) == [1, 3, 0, 2]


def test_rank_breaks_ties_by_the_next_objective() -> None:
    scores = [score(0.5, params=9), score(0.9, params=9), score(0.5, params=3), score(0.9, params=2)]
    assert rank(scores, ["accuracy", "params"]) == [3, 1, 2, 0]
    assert rank(scores, ["params", "accuracy"]) == [3, 2, 1, 0]
    assert rank([]) == []


def test_rank_refuses_nan() -> None:
    with pytest.raises(ValueError, match="point 1 has a NaN"):
        rank([score(0.5), score(math.nan)])


def test_front_of_two_objectives() -> None:
    """Accuracy up, parameters down: 1 dominates 2, and 0 dominates 4."""
    points = [(0.9, 10), (0.8, 5), (0.7, 6), (0.95, 20), (0.85, 10)]
    assert pareto_front(points, (+1, -1)) == [0, 1, 3]


def test_front_turns_with_the_directions() -> None:
    points = [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert pareto_front(points, (+1, +1)) == [3]
    assert pareto_front(points, (-1, -1)) == [0]
    assert pareto_front(points, (+1, -1)) == [2]
    assert pareto_front(points, (-1, +1)) == [1]


def test_front_keeps_equal_points_together() -> None:
    assert pareto_front([(1, 2), (2, 1), (1, 2), (0, 0), (0, 0)], (+1, +1)) == [0, 1, 2]


def test_strongest_by_hand() -> None:
    """Accuracy up, parameters down: (0.9, 10) beats three others, (0.5, 1) one more, (0.95, 20) no other."""
    points = [(0.95, 20), (0.9, 10), (0.5, 1), (0.8, 11), (0.7, 12), (0.6, 13), (0.4, 2), (0.95, 30)]
    assert strongest(points, (+1, -1), 1) == [(0.9, 10.0)]
    assert strongest(points, (+1, -1), 8) == [(0.9, 10.0), (0.5, 1.0)]
    # (6, 3) beats two that (5, 5) beats already, (1, 9) one that nobody else beats.
    grid = [(5, 5), (6, 3), (1, 9), (4, 2), (3, 2), (2, 4), (0, 8)]
    assert strongest(grid, (+1, +1), 2) == [(5.0, 5.0), (1.0, 9.0)]
    assert strongest([], (+1, -1), 8) == []
    assert strongest([(1, 1), (1, 1)], (+1, -1), 8) == []


def test_front_of_one_and_of_three_objectives() -> None:
    assert pareto_front([[3], [7], [5], [7]], (+1,)) == [1, 3]
    cube = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (1, 0, 0), (1, 1, 0)]
    assert pareto_front(cube, (+1, +1, +1)) == [2, 5]


def test_front_of_few_points() -> None:
    for directions in ((+1, -1), (+1, +1, +1)):
        assert pareto_front([], directions) == []
        assert pareto_front([[0.0] * len(directions)], directions) == [0]


def test_front_with_zero_of_both_signs_and_infinities() -> None:
    assert pareto_front([(0.0, 1), (-0.0, 1)], (-1, +1)) == [0, 1]
    assert pareto_front([(math.inf, -math.inf), (1, -math.inf), (1, 0)], (+1, +1)) == [0, 2]


def test_front_refuses_nan() -> None:
    with pytest.raises(ValueError, match="point 0 has a NaN"):
        pareto_front([(math.nan, 1), (1, 1)], (+1, +1))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_front_is_what_the_definition_says(objectives: int, seed: int) -> None:
    """Against all pairs, on a coarse grid so that ties and duplicates abound."""
    rng = np.random.default_rng([objectives, seed])
    points = rng.integers(0, 5, size=(60, objectives)).tolist()
    directions = rng.choice([-1, 1], size=objectives).tolist()

    def dominates(a: list[int], b: list[int]) -> bool:
        gain = [(x - y) * direction for x, y, direction in zip(a, b, directions, strict=True)]
        return min(gain) >= 0 and max(gain) > 0

    expected = [
        index for index, point in enumerate(points) if not any(dominates(other, point) for other in points)
    ]
    assert pareto_front(points, directions) == expected


def test_spearman_by_hand() -> None:
    """Rank differences 0, 1, 1, 1, 1: rho = 1 - 6 * 4 / (5 * 24) = 0.8."""
    assert spearman([1, 2, 3, 4, 5], [10, 30, 20, 50, 40]) == pytest.approx(0.8)
    assert spearman([1, 2, 3], [0.1, 10, 1000]) == pytest.approx(1)
    assert spearman([1, 2], [4, 3]) == pytest.approx(-1), "two values have an order"
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_kendall_by_hand() -> None:
    """Of 10 pairs 8 agree and 2 do not: tau = 0.6."""
    assert kendall([1, 2, 3, 4, 5], [10, 30, 20, 50, 40]) == pytest.approx(0.6)


def test_kendall_is_tau_b() -> None:
    """Pairs of (1,1), (1,2), (2,3): 2 agree, 1 is tied in x alone: tau-b = 2 / sqrt(2 * 3)."""
    assert kendall([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / math.sqrt(6))


@pytest.mark.parametrize("correlation", [spearman, kendall])
def test_correlation_without_an_order(correlation: type[float]) -> None:
    assert math.isnan(correlation([1, 2, 3], [5, 5, 5]))
    assert math.isnan(correlation([1], [1]))
    assert math.isnan(correlation([], []))
    with pytest.raises(ValueError, match="cannot be correlated"):
        correlation([1, 2, 3], [1, 2])
