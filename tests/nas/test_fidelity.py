"""Fidelity of estimators whose agreement with the truth is known by construction."""

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from nas.architecture import Architecture
from nas.estimators.base import CandidateFailed, CandidateScore, EstimatorConfig
from nas.fidelity import FidelityProgress, Interval, measure_fidelity, score_candidates
from nas.scatter import scatter_svg
from nas.true_accuracies import TrueAccuracy


class HandMade:
    """An estimator whose accuracy is a function of the encoding and the seed, and that takes two seconds."""

    name = "hand_made"
    config = EstimatorConfig()

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
REVERSED = HandMade(lambda encoding, seed: 1 - value(encoding))
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
    tenth, half = 410, 2048
    assert {name: top.n for name, top in fidelity.top.items()} == {
        "top_10_percent": tenth,
        "top_50_percent": half,
        "top_10_percent_by_score": tenth,
        "top_50_percent_by_score": half,
    }
    assert fidelity.top["top_50_percent"].spearman.value == pytest.approx(1)
    assert fidelity.overall.spearman.value < 0.8


def test_failed_candidates_are_left_out_and_counted(toy_space: Any) -> None:
    estimators = {
        "failing": HandMade(fails_below_a_half),
        "nan": HandMade(lambda encoding, seed: math.nan),
        "infinite": HandMade(lambda encoding, seed: -math.inf),
    }
    report = measure_fidelity(toy_space, estimators, TABLE, candidates=100, population="all", resamples=10)
    failing, *non_finite = report.estimators
    assert failing.failed + failing.overall.n == 100
    assert 30 < failing.failed < 70
    assert failing.overall.spearman.value == pytest.approx(1)
    for each in non_finite:
        assert (each.failed, each.overall.n) == (100, 0)
        assert math.isnan(each.overall.spearman.value)


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        (None, "error: the estimator returned None; expected a CandidateScore"),
        ({"extra": None}, "error: AttributeError"),
        ({"extra": {"note": "good"}}, "error: TypeError"),
        ({"accuracy": 50.0}, "error: accuracy is 50.0; expected a share from 0 to 1"),
        ({"loss": math.nan}, "non-finite: loss is nan"),
    ],
)
def test_what_a_search_would_refuse_is_a_failed_candidate_here_too(
    toy_space: Any, changes: dict[str, Any] | None, failure: str
) -> None:
    class Odd(HandMade):
        def estimate(self, *given: Any, **options: Any) -> Any:
            return changes and replace(super().estimate(*given, **options), **changes)

    estimators = {"odd": Odd(lambda encoding, seed: 0.5), "perfect": PERFECT}
    scored = score_candidates(toy_space, estimators, TABLE[:3], seed=0)
    assert all((each.failure or "").startswith(failure) for each in scored["odd"])
    assert not any(each.failure for each in scored["perfect"])


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
    assert any(progress.outcome.failure for progress in told[10:])
    assert not any(progress.outcome.failure for progress in told[:10])


def test_the_best_by_score_are_others_than_the_best_by_truth(toy_space: Any) -> None:
    """Half of the space is praised at random: among those, the score knows nothing."""

    def praise(encoding: str, seed: int) -> float:
        praised = encoding.endswith(("0", "1"))
        return (1 + random_value(encoding, seed) if praised else value(encoding)) / 2

    (fidelity,) = measure_fidelity(
        toy_space, {"it": HandMade(praise)}, TABLE, candidates=1000, population="all", resamples=200
    ).estimators
    assert abs(fidelity.top["top_50_percent_by_score"].spearman.value) < 0.15


def test_ranks_by_the_score_and_reports_every_readout(toy_space: Any) -> None:
    class Scored(HandMade):
        def estimate(self, space: Any, architecture: Architecture, *, seed: int) -> CandidateScore:
            truth, noise = value(architecture.encoding), random_value(architecture.encoding, 0)
            extra = {"sum_training_loss": -truth, "noise": noise, "score": truth}
            return CandidateScore(0.1, truth, (), 1, 1, seconds=1.0, extra=extra)

    (fidelity,) = measure_fidelity(
        toy_space, {"it": Scored(random_value)}, TABLE, candidates=100, population="all", resamples=20
    ).estimators
    assert fidelity.overall.spearman.value == pytest.approx(1)
    by_readout = {name: each.spearman.value for name, each in fidelity.readouts.items()}
    assert by_readout["sum_training_loss"] == pytest.approx(1)  # losses are negated
    assert by_readout["validation_loss"] == pytest.approx(-1)
    assert abs(by_readout["noise"]) < 0.4
    assert math.isnan(by_readout["accuracy"])


def test_a_readout_that_not_all_candidates_have_is_left_out(toy_space: Any) -> None:
    class Scored(HandMade):
        def estimate(self, space: Any, architecture: Architecture, *, seed: int) -> CandidateScore:
            truth = value(architecture.encoding)
            extra = {"score": truth, "of_some" if truth > 0.5 else "of_others": truth, "of_all": truth}
            return CandidateScore(0.1, truth, (), 1, 1, seconds=1.0, extra=extra)

    (fidelity,) = measure_fidelity(
        toy_space, {"it": Scored(random_value)}, TABLE, candidates=100, population="all", resamples=20
    ).estimators
    assert "of_all" in fidelity.readouts
    assert not {"of_some", "of_others"} & fidelity.readouts.keys()


def test_what_is_known_is_not_scored_again(toy_space: Any) -> None:
    drawn = TABLE[:10]
    asked: list[str] = []

    def remember(encoding: str, seed: int) -> float:
        asked.append(encoding)
        return value(encoding)

    told: list[FidelityProgress] = []
    first = score_candidates(toy_space, {"it": PERFECT}, drawn[:6], seed=0)["it"]
    known = {
        ("it", entry.architecture.encoding): outcome for entry, outcome in zip(drawn[:6], first, strict=True)
    }
    outcomes = score_candidates(
        toy_space, {"it": HandMade(remember)}, drawn, seed=0, known=known, on_candidate=told.append
    )
    assert asked == [entry.architecture.encoding for entry in drawn[6:]]
    assert [progress.done for progress in told] == [7, 8, 9, 10]
    assert outcomes["it"][:6] == first


def test_candidates_and_scores_stand_in_the_json(toy_space: Any) -> None:
    estimators = {"perfect": PERFECT, "failing": HandMade(fails_below_a_half)}
    report = measure_fidelity(toy_space, estimators, TABLE, candidates=20, resamples=5)
    rows = json.loads(json.dumps(report.to_json(), allow_nan=False))["candidates"]
    assert len(rows) == 20
    for row in rows:
        truth = value(row["architecture"])
        assert row["accuracy"] == 100 * truth
        assert row["scores"]["perfect"] == truth**3
        assert row["scores"]["failing"] == (truth if truth >= 0.5 else None)


def test_scatter_draws_every_scored_candidate_and_nothing_else(toy_space: Any) -> None:
    estimators = {"perfect": PERFECT, "a <b>": HandMade(fails_below_a_half), "constant": CONSTANT}
    report = measure_fidelity(toy_space, estimators, TABLE, candidates=20, resamples=5)
    document = ElementTree.fromstring(scatter_svg(report.to_json()))
    circles = document.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 60 - report.estimators[1].failed
    text = " ".join(document.itertext())
    assert "a <b>" in text
    assert "rho 1.000" in text
