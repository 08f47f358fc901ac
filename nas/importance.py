"""Which options of which choices go with good scores among the candidates of a search.

An association, not a cause: an algorithm that exploits proposes what it likes together.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from nas.choice_table import ABSENT, ChoiceTable

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class OptionEffect:
    """Candidates with an option against those that made the choice otherwise. None: too few to tell."""

    option: str
    n_with: int
    n_without: int
    mean_with: float | None
    mean_without: float | None
    difference: float | None  # mean_with - mean_without, in the unit of the score
    low: float | None  # of the difference, Welch's interval at CONFIDENCE
    high: float | None
    effect_size: float | None  # Hedges' g: the difference in standard deviations, corrected for few values


@dataclass(frozen=True, slots=True)
class ChoiceImportance:
    """One choice, such as the operation of an edge."""

    choice: str
    n: int  # candidates that have it
    explained: float | None  # share of the scores' variance that goes with it (epsilon squared, >= 0)
    options: tuple[OptionEffect, ...]  # in the order of the space


def choice_importance(table: ChoiceTable, scores: NDArray[np.float64]) -> tuple[ChoiceImportance, ...]:
    """The importance of every choice, in the order of the space, from a score for each row [N].

    `explained` is epsilon squared of a one-way analysis of variance, which does not grow with the number of
    options alone (Okada, "Is Omega Squared Less Biased?", Behaviormetrika 40, 2013).
    """
    return tuple(
        _of_choice(name, options, table.codes[:, column], scores)
        for column, (name, options) in enumerate(table.domains.items())
    )


def _of_choice(
    name: str, options: tuple[str, ...], codes: NDArray[np.int16], scores: NDArray[np.float64]
) -> ChoiceImportance:
    there = codes != ABSENT
    codes, scores = codes[there], scores[there]
    groups = [scores[codes == code] for code in range(len(options))]
    effects = tuple(
        _effect(option, groups[code], scores[codes != code]) for code, option in enumerate(options)
    )
    return ChoiceImportance(name, len(scores), _explained([group for group in groups if len(group)]), effects)


def _explained(groups: list[NDArray[np.float64]]) -> float | None:
    """Epsilon squared; None while the groups leave no freedom, or nothing varies."""
    n = sum(map(len, groups))
    if len(groups) < 2 or n <= len(groups):
        return None
    total = float(np.var(np.concatenate(groups)) * n)
    if total == 0:
        return None
    within = sum(float(np.var(group)) * len(group) for group in groups)
    noise = (len(groups) - 1) * within / (n - len(groups))
    return max(0.0, (total - within - noise) / total)


def _effect(option: str, with_it: NDArray[np.float64], without: NDArray[np.float64]) -> OptionEffect:
    mean_with, mean_without = (float(values.mean()) if len(values) else None for values in (with_it, without))
    difference = low = high = size = None
    if mean_with is not None and mean_without is not None:
        difference = mean_with - mean_without
        low, high = _interval(difference, with_it, without)
        size = _hedges(difference, with_it, without)
    return OptionEffect(
        option, len(with_it), len(without), mean_with, mean_without, difference, low, high, size
    )


def _interval(
    difference: float, first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[float | None, float | None]:
    if min(len(first), len(second)) < 2:
        return None, None
    errors = [float(values.var(ddof=1)) / len(values) for values in (first, second)]
    if sum(errors) == 0:
        return None, None
    freedom = sum(errors) ** 2 / sum(
        error**2 / (len(values) - 1) for error, values in zip(errors, (first, second), strict=True)
    )
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(sum(errors))
    return difference - reach, difference + reach


def _hedges(difference: float, first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    freedom = len(first) + len(second) - 2
    if freedom < 2:  # of one the correction leaves nothing
        return None
    squares = sum(float(np.var(values)) * len(values) for values in (first, second))
    if squares == 0:
        return None
    return difference / math.sqrt(squares / freedom) * (1 - 3 / (4 * freedom - 1))
