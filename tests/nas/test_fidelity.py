"""Fidelity of estimators whose agreement with the truth is known by construction."""

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from nas.architecture import Architecture
from nas.estimators.base import CandidateFailed, CandidateScore
from nas.fidelity import FidelityProgress, Interval, measure_fidelity
from nas.true_accuracies import TrueAccuracy


class NoConfig(BaseModel):
    pass


class HandMade:
    """An estimator whose accuracy is a function of the encoding and the seed, and that takes two seconds."""

    name = "hand_made"
    config = NoConfig()
    needs_train_data = False

    def __init__(self, accuracy: Callable[[str, int], float]) -> None:
        self.accuracy = accuracy

    def estimate(self, space: Any, architecture: Architecture, *, seed: int) -> CandidateScore:
        return CandidateScore(
            self.accuracy(architecture.encoding, seed), 1.0, (), 1, 1, seconds=2.0, extra={}
        )


def value(encoding: str) -> float:
    """A truth without ties: the encoding read as a number to the base 4."""
    return int(encoding, 4) / 4**6


def random_value(encoding: str, seed: int) -> float:
    return float(np.random.default_rng([seed, int(encoding, 4)]).random())


def fails_below_a_half(encoding: str, seed: int) -> float:
    if value(encoding) < 0.5:
        raise CandidateFailed("bad shape", encoding)
    return value(encoding)


PERFECT = HandMade(lambda encoding, seed: value(encoding) ** 3)
REVERSED = HandMade(lambda encoding, seed: -value(encoding))
RANDOM = HandMade(random_value)
CONSTANT = HandMade(lambda encoding, seed: 0.5)
TABLE = [
    TrueAccuracy(Architecture("toy", encoding), 100 * value(encoding))
    for encoding in map("".join, itertools.product("0123", repeat=6))
]


def test_perfect_reversed_and_random_estimators(toy_space: Any) -> None:
    report = measure_fidelity(
        toy_space,
        {"perfect": PERFECT, "reversed": REVERSED, "random": RANDOM},
        TABLE,
        candidates=200,
        population="all",
        resamples=300,
    )
    perfect, opposite, random = report.estimators
    assert report.n == 200
    one, minus_one = (pytest.approx(sign) for sign in (1, -1))
    for agreement in (perfect.overall, *perfect.top.values()):
        for interval in (agreement.spearman, agreement.kendall):
            assert (interval.value, interval.low, interval.high) == (one, one, one)
    assert opposite.overall.kendall == Interval(minus_one, minus_one, minus_one)
    assert random.overall.spearman.low < 0 < random.overall.spearman.high
    # The standard error of rho under independence is 1 / sqrt(n - 1); 95 % are within 1.96 of it.
    width = random.overall.spearman.high - random.overall.spearman.low
    assert width == pytest.approx(2 * 1.96 / math.sqrt(199), rel=0.2)


def test_top_shares_are_the_truly_best_candidates(toy_space: Any) -> None:
    """Right about the better half, wrong about the rest."""
    half_right = HandMade(
        lambda encoding, seed: value(encoding) if value(encoding) >= 0.5 else 0.5 - value(encoding)
    )
    (fidelity,) = measure_fidelity(
        toy_space, {"half": half_right}, TABLE, candidates=4**6, population="all", resamples=10
    ).estimators
    assert {name: top.n for name, top in fidelity.top.items()} == {
        "top_10_percent": 410,
        "top_50_percent": 2048,
    }
    assert fidelity.top["top_50_percent"].spearman.value == pytest.approx(1)
    assert fidelity.overall.spearman.value < 0.8


def test_failed_candidates_are_left_out_and_counted(toy_space: Any) -> None:
    estimators = {"failing": HandMade(fails_below_a_half), "nan": HandMade(lambda encoding, seed: math.nan)}
    report = measure_fidelity(toy_space, estimators, TABLE, candidates=100, population="all", resamples=10)
    failing, nan = report.estimators
    assert failing.failed + failing.overall.n == 100
    assert 30 < failing.failed < 70
    assert failing.overall.spearman.value == pytest.approx(1)
    assert (nan.failed, nan.overall.n) == (100, 0)
    assert math.isnan(nan.overall.spearman.value)


def test_populations(toy_space: Any) -> None:
    seen = []
    estimator = HandMade(lambda encoding, seed: seen.append(encoding) or value(encoding))
    report = measure_fidelity(
        toy_space, {"it": estimator}, TABLE, candidates=500, population="unique", resamples=5
    )
    assert report.population == "unique"
    assert len({min(encoding, encoding[::-1]) for encoding in seen}) == len(seen) == 500


def test_json_is_the_contract(toy_space: Any) -> None:
    report = measure_fidelity(
        toy_space, {"gtn": PERFECT, "constant": CONSTANT}, TABLE, candidates=40, resamples=50
    )
    printed = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert printed["n"] == 40
    assert printed["population"] == "unique"
    perfect, constant = printed["estimators"]
    assert perfect["estimator"] == "gtn"
    assert perfect["spearman"] == pytest.approx({"value": 1.0, "low": 1.0, "high": 1.0})
    assert perfect["kendall"] == pytest.approx({"value": 1.0, "low": 1.0, "high": 1.0})
    assert perfect["seconds_per_candidate"] == 2.0
    assert perfect["failed"] == 0
    assert perfect["top_10_percent"]["n"] == 4
    assert constant["spearman"] == {"value": None, "low": None, "high": None}


def test_seed_fixes_candidates_scores_and_intervals(toy_space: Any) -> None:
    first, second, other = (
        measure_fidelity(
            toy_space, {"random": RANDOM}, TABLE, candidates=50, seed=seed, resamples=50
        ).to_json()
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_progress_is_told_after_every_candidate(toy_space: Any) -> None:
    told: list[FidelityProgress] = []
    estimators = {"perfect": PERFECT, "failing": HandMade(fails_below_a_half)}
    measure_fidelity(toy_space, estimators, TABLE, candidates=10, resamples=1, on_candidate=told.append)
    assert [progress.done for progress in told] == list(range(1, 21))
    assert {progress.total for progress in told} == {20}
    assert [progress.estimator for progress in told] == ["perfect"] * 10 + ["failing"] * 10
    assert any(progress.score is None for progress in told[10:])
    assert all(progress.score is not None for progress in told[:10])
