"""Fewer points that show the same."""

import numpy as np
import pytest

from nas.thinning import improvements, spread

NONE = np.empty(0, dtype=np.intp)


def test_improvements_by_hand() -> None:
    assert improvements(np.array([0.1, 0.1, 0.3, 0.2, np.nan, 0.3, 0.4]), limit=10).tolist() == [0, 2, 6]
    assert improvements(np.array([np.nan, -3.0, -5.0]), limit=10).tolist() == [1]
    assert improvements(np.empty(0), limit=10).tolist() == []


def test_many_improvements_keep_both_ends() -> None:
    places = improvements(np.arange(1000.0), limit=10)
    assert (len(places), places[0], places[-1]) == (10, 0, 999)


def test_few_points_stay_all() -> None:
    assert spread(np.arange(5.0), np.arange(5.0), limit=5, keep=NONE).tolist() == [0, 1, 2, 3, 4]


def test_many_points_become_few_and_none_that_stands_alone_is_lost() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 100_000))
    x[[7, 77]], y[[7, 77]] = [50.0, -50.0], [50.0, -50.0]
    places = spread(x, y, limit=2000, keep=np.array([123]))
    assert 1900 <= len(places) <= 2001
    assert {7, 77, 123} <= set(places.tolist())
    assert (np.diff(places) > 0).all()
    assert places.tolist() == spread(x, y, limit=2000, keep=np.array([123])).tolist()


def test_dense_regions_stay_dense() -> None:
    x = np.concatenate(
        [np.random.default_rng(0).random(90_000) / 10, np.random.default_rng(1).random(10_000)]
    )
    places = spread(x, np.zeros_like(x), limit=1000, keep=NONE)
    assert (x[places] <= 0.1).mean() == pytest.approx((x <= 0.1).mean(), abs=0.05)
