"""Fidelity: how well the proxy scores of estimators rank architectures whose true accuracy is known."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.estimators.base import CandidateFailed, CandidateScore, Estimator
from nas.ranking import kendall, spearman
from nas.search_spaces.base import SearchSpace
from nas.true_accuracies import Population, TrueAccuracy, draw_candidates

CONFIDENCE = 0.95
TOP_SHARES = {"top_10_percent": 0.1, "top_50_percent": 0.5}
"""Shares of the truly best candidates among which agreement is measured once more: search happens there."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with its bootstrap percentile interval; NaN where the data leave it undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Rank correlation of proxy and true accuracy over `n` candidates."""

    n: int
    spearman: Interval
    kendall: Interval


@dataclass(frozen=True, slots=True)
class EstimatorFidelity:
    """How one estimator did. Candidates that failed are in no correlation."""

    estimator: str
    overall: Agreement
    top: Mapping[str, Agreement]  # by the names in TOP_SHARES
    failed: int
    seconds_per_candidate: float


@dataclass(frozen=True, slots=True)
class FidelityReport:
    """All estimators on the same candidates."""

    n: int
    population: Population
    estimators: tuple[EstimatorFidelity, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`; a statistic that is undefined is None."""
        return {
            "n": self.n,
            "population": self.population,
            "confidence": CONFIDENCE,
            "estimators": [_estimator_json(fidelity) for fidelity in self.estimators],
        }


@dataclass(frozen=True, slots=True)
class FidelityProgress:
    """One evaluation is done; `score` is None when it failed."""

    estimator: str
    done: int
    total: int  # over all estimators
    score: CandidateScore | None


def measure_fidelity(
    space: SearchSpace,
    estimators: Mapping[str, Estimator],
    table: Sequence[TrueAccuracy],
    *,
    candidates: int,
    population: Population = "unique",
    seed: int = 0,
    resamples: int = 1000,
    on_candidate: Callable[[FidelityProgress], None] | None = None,
) -> FidelityReport:
    """Score candidates drawn from `table` with each estimator, one after another, and compare the orders.

    `estimators` are ready to use, by the label they get in the report. `seed` fixes the candidates, their
    scores and the bootstrap. Raises DatasetError when the table has fewer than `candidates`.
    """
    drawn = draw_candidates(table, space, number=candidates, population=population, seed=seed)
    total = len(estimators) * len(drawn)
    fidelities: list[EstimatorFidelity] = []
    for label, estimator in estimators.items():
        scores: list[CandidateScore | None] = []
        for entry in drawn:
            scores.append(_score(estimator, space, entry, seed))
            if on_candidate is not None:
                done = len(fidelities) * len(drawn) + len(scores)
                on_candidate(FidelityProgress(label, done, total, scores[-1]))
        fidelities.append(_fidelity(label, scores, drawn, seed, resamples))
    return FidelityReport(len(drawn), population, tuple(fidelities))


def _score(estimator: Estimator, space: SearchSpace, entry: TrueAccuracy, seed: int) -> CandidateScore | None:
    try:
        score = estimator.estimate(space, entry.architecture, seed=seed)
    except CandidateFailed:
        return None
    return score if math.isfinite(score.accuracy) else None


def _fidelity(
    label: str,
    scores: Sequence[CandidateScore | None],
    drawn: Sequence[TrueAccuracy],
    seed: int,
    resamples: int,
) -> EstimatorFidelity:
    pairs = [(score, entry.accuracy) for score, entry in zip(scores, drawn, strict=True) if score is not None]
    pairs.sort(key=lambda pair: -pair[1])  # the truly best first
    proxy = np.array([score.accuracy for score, _ in pairs])
    truth = np.array([accuracy for _, accuracy in pairs])

    def agreement(share: float) -> Agreement:
        n = math.ceil(share * len(pairs))
        return _agreement(proxy[:n], truth[:n], seed, resamples)

    return EstimatorFidelity(
        label,
        overall=agreement(1),
        top={name: agreement(share) for name, share in TOP_SHARES.items()},
        failed=len(drawn) - len(pairs),
        seconds_per_candidate=float(np.mean([score.seconds for score, _ in pairs])) if pairs else math.nan,
    )


def _agreement(
    proxy: NDArray[np.float64], truth: NDArray[np.float64], seed: int, resamples: int
) -> Agreement:
    rng = np.random.default_rng(seed)
    n = len(proxy)
    chosen = [rng.integers(n, size=n) for _ in range(resamples)] if n else []

    def interval(correlation: Callable[..., float]) -> Interval:
        resampled = np.array([correlation(proxy[index], truth[index]) for index in chosen])
        defined = resampled[~np.isnan(resampled)]  # a resample may have a single value
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(defined, [tail, 1 - tail]) if len(defined) else (math.nan, math.nan)
        return Interval(correlation(proxy, truth), float(low), float(high))

    return Agreement(n, interval(spearman), interval(kendall))


def _estimator_json(fidelity: EstimatorFidelity) -> dict[str, Any]:
    return {
        "estimator": fidelity.estimator,
        **_agreement_json(fidelity.overall),
        **{name: _agreement_json(top) for name, top in fidelity.top.items()},
        "failed": fidelity.failed,
        "seconds_per_candidate": _defined(fidelity.seconds_per_candidate),
    }


def _agreement_json(agreement: Agreement) -> dict[str, Any]:
    return {
        "n": agreement.n,
        "spearman": _interval_json(agreement.spearman),
        "kendall": _interval_json(agreement.kendall),
    }


def _interval_json(interval: Interval) -> dict[str, float | None]:
    return {"value": _defined(interval.value), "low": _defined(interval.low), "high": _defined(interval.high)}


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
