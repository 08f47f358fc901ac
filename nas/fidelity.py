"""Fidelity: how well the proxy scores of estimators rank architectures whose true accuracy is known."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.agreement import CONFIDENCE, Agreement, Interval, agreement, defined
from nas.estimators.base import Estimator
from nas.estimators.failures import failure_of
from nas.estimators.plain_score import plain_score
from nas.estimators.readouts import gain, readout_values
from nas.search_spaces.base import SearchSpace
from nas.true_accuracies import Population, TrueAccuracy, draw_candidates

TOP_SHARES = {"top_10_percent": 0.1, "top_50_percent": 0.5}
"""Shares of the candidates among which agreement is measured once more, the best by truth and the best by
score: search happens there."""

__all__ = [
    "Agreement",
    "EstimatorFidelity",
    "FidelityProgress",
    "FidelityReport",
    "Interval",
    "ScoredCandidate",
    "fidelity_report",
    "measure_fidelity",
    "score_candidates",
]


@dataclass(frozen=True, slots=True)
class ScoredCandidate:
    """What one evaluation is worth to a report; a failed one has a reason and no numbers."""

    score: float
    readouts: Mapping[str, float]  # every number that might rank candidates, more is better
    seconds: float
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class EstimatorFidelity:
    """How one estimator did. Candidates that failed are in no correlation."""

    estimator: str
    overall: Agreement
    top: Mapping[str, Agreement]  # by the names in TOP_SHARES, and those with "_by_score" behind
    readouts: Mapping[str, Agreement]
    failed: int
    seconds_per_candidate: float
    scores: tuple[float | None, ...]  # by candidate of the report


@dataclass(frozen=True, slots=True)
class FidelityReport:
    """All estimators on the same candidates."""

    n: int
    population: Population
    estimators: tuple[EstimatorFidelity, ...]
    candidates: tuple[TrueAccuracy, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`; a statistic that is undefined is None."""
        return {
            "n": self.n,
            "population": self.population,
            "confidence": CONFIDENCE,
            "estimators": [_estimator_json(fidelity) for fidelity in self.estimators],
            "candidates": [
                {
                    "architecture": entry.architecture.encoding,
                    "accuracy": entry.accuracy,
                    "scores": {each.estimator: each.scores[number] for each in self.estimators},
                }
                for number, entry in enumerate(self.candidates)
            ],
        }


@dataclass(frozen=True, slots=True)
class FidelityProgress:
    """One evaluation is done."""

    estimator: str
    entry: TrueAccuracy
    done: int
    total: int  # over all estimators
    outcome: ScoredCandidate


Known = Mapping[tuple[str, str], ScoredCandidate]
"""Evaluations that were made before, by the estimator's label and the architecture's encoding."""


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
    outcomes = score_candidates(space, estimators, drawn, seed=seed, on_candidate=on_candidate)
    return fidelity_report(drawn, outcomes, population=population, seed=seed, resamples=resamples)


def score_candidates(
    space: SearchSpace,
    estimators: Mapping[str, Estimator],
    drawn: Sequence[TrueAccuracy],
    *,
    seed: int,
    known: Known | None = None,
    on_candidate: Callable[[FidelityProgress], None] | None = None,
    done_before: int = 0,
    total: int | None = None,
) -> dict[str, list[ScoredCandidate]]:
    """What each estimator gives each candidate; evaluations that are `known` are not made again.

    Where these are not all that a report takes, `done_before` and `total` count the others in.
    """
    outcomes: dict[str, list[ScoredCandidate]] = {label: [] for label in estimators}
    total = len(estimators) * len(drawn) if total is None else total
    for position, (label, estimator) in enumerate(estimators.items()):
        for entry in drawn:
            before = (known or {}).get((label, entry.architecture.encoding))
            outcome = before or _score(estimator, space, entry, seed)
            outcomes[label].append(outcome)
            if on_candidate is not None and before is None:
                done = done_before + position * len(drawn) + len(outcomes[label])
                on_candidate(FidelityProgress(label, entry, done, total, outcome))
    return outcomes


def fidelity_report(
    drawn: Sequence[TrueAccuracy],
    outcomes: Mapping[str, Sequence[ScoredCandidate]],
    *,
    population: Population,
    seed: int = 0,
    resamples: int = 1000,
) -> FidelityReport:
    """Compare the order of each estimator's scores, [N], with that of the true accuracies."""
    fidelities = (_fidelity(label, scored, drawn, seed, resamples) for label, scored in outcomes.items())
    return FidelityReport(len(drawn), population, tuple(fidelities), tuple(drawn))


def _score(estimator: Estimator, space: SearchSpace, entry: TrueAccuracy, seed: int) -> ScoredCandidate:
    try:
        score = plain_score(estimator.estimate(space, entry.architecture, seed=seed), {})
    except Exception as error:  # one candidate must not end the report
        return ScoredCandidate(math.nan, {}, 0.0, str(failure_of(error)))
    readouts = {name: gain(score, name) for name in readout_values(score)}
    return ScoredCandidate(score.score, readouts, score.seconds)


def _fidelity(
    label: str,
    scored: Sequence[ScoredCandidate],
    drawn: Sequence[TrueAccuracy],
    seed: int,
    resamples: int,
) -> EstimatorFidelity:
    pairs = [
        (outcome, entry.accuracy)
        for outcome, entry in zip(scored, drawn, strict=True)
        if outcome.failure is None
    ]
    proxy = np.array([outcome.score for outcome, _ in pairs])
    truth = np.array([accuracy for _, accuracy in pairs])

    def among(chosen: NDArray[np.intp], values: NDArray[np.float64] = proxy) -> Agreement:
        return agreement(values[chosen], truth[chosen], seed=seed, resamples=resamples)

    top: dict[str, Agreement] = {}
    for suffix, order in (("", truth), ("_by_score", proxy)):
        best_first = np.argsort(-order, kind="stable")
        for name, share in TOP_SHARES.items():
            top[name + suffix] = among(best_first[: math.ceil(share * len(pairs))])
    everyone = np.arange(len(pairs))
    told = [outcome.readouts for outcome, _ in pairs]
    names = [name for name in told[0] if all(name in each for each in told)] if told else []
    return EstimatorFidelity(
        label,
        overall=among(everyone),
        top=top,
        readouts={
            name: among(everyone, np.array([outcome.readouts[name] for outcome, _ in pairs]))
            for name in names
        },
        failed=len(drawn) - len(pairs),
        seconds_per_candidate=float(np.mean([outcome.seconds for outcome, _ in pairs]))
        if pairs
        else math.nan,
        scores=tuple(defined(outcome.score) for outcome in scored),
    )


def _estimator_json(fidelity: EstimatorFidelity) -> dict[str, Any]:
    return {
        "estimator": fidelity.estimator,
        **fidelity.overall.to_json(),
        **{name: top.to_json() for name, top in fidelity.top.items()},
        "readouts": {name: each.to_json() for name, each in fidelity.readouts.items()},
        "failed": fidelity.failed,
        "seconds_per_candidate": defined(fidelity.seconds_per_candidate),
    }
