"""What an estimator returned, checked: it may come from another package."""

import math
from collections.abc import Mapping

from nas.estimators.base import CandidateFailed, CandidateScore


def plain_score(score: CandidateScore, extra: Mapping[str, float]) -> CandidateScore:
    """The score with more readouts, all in Python's own types: estimators may come from other packages.

    Raises CandidateFailed for what is no score, a number that is not finite, an accuracy that is no share, or
    a count that cannot be stored.
    """
    if not isinstance(score, CandidateScore):
        raise CandidateFailed("error", f"the estimator returned {score!r:.200}; expected a CandidateScore")
    numbers = {"accuracy": score.accuracy, "loss": score.loss, "seconds": score.seconds}
    plain = {name: _finite(name, value) for name, value in numbers.items()}
    if not 0 <= plain["accuracy"] <= 1:
        raise CandidateFailed("error", f"accuracy is {score.accuracy}; expected a share from 0 to 1")
    own = {"score": score.score, **score.extra, **extra}
    readouts = {name: _finite(name, value) for name, value in own.items()}
    curve = tuple(_finite(f"loss_curve[{step}]", loss) for step, loss in enumerate(score.loss_curve))
    params, flops = _count("params", score.params), _count("flops", score.flops)
    return CandidateScore(**plain, loss_curve=curve, params=params, flops=flops, extra=readouts)


def _count(name: str, value: float) -> int:
    count = value if isinstance(value, float) else int(value)  # a tensor compares with no 2^63
    if not 0 <= count < 2**63:  # what databases hold
        raise CandidateFailed("error", f"{name} is {value}; expected 0 to 2^63 - 1")
    return int(count)


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise CandidateFailed("non-finite", f"{name} is {value}")
    return float(value)
