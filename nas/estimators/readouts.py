"""Readouts: which number of an evaluation is the score that ranks candidates."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

from nas.estimators.base import CandidateScore

TrainingReadout = Literal["accuracy", "validation_loss", "sum_training_loss", "sum_training_loss_late"]
"""What a brief training can be judged by. The sums are those of training-speed estimation (Ru et al., "Speedy
Performance Estimation for Neural Architecture Search", NeurIPS 2021): over all steps, or over the last half
of them, when the first, noisy ones are behind."""

TRAINING_READOUTS: tuple[str, ...] = get_args(TrainingReadout)
LESS_IS_BETTER = frozenset({"loss", "validation_loss", "sum_training_loss", "sum_training_loss_late"})

SUMS_OVER_STEPS = frozenset({"sum_training_loss", "sum_training_loss_late"})


def sums_of_losses(curve: Sequence[float]) -> dict[str, float]:
    """The two sums of a curve of training losses [T], by the name of their readout."""
    return {
        "sum_training_loss": math.fsum(curve),
        "sum_training_loss_late": math.fsum(curve[len(curve) // 2 :]),
    }


def gain(score: CandidateScore, readout: str) -> float:
    """The readout as a number of which more is better; losses are negated.

    Any number of an evaluation is a readout: accuracy, validation_loss, params, flops and whatever stands in
    `extra`. Raises ValueError for another name.
    """
    numbers = readout_values(score)
    if readout not in numbers:
        raise ValueError(f"the evaluation has no readout {readout!r}; it has {', '.join(sorted(numbers))}")
    return -numbers[readout] if readout in LESS_IS_BETTER else numbers[readout]


def readout_values(score: CandidateScore) -> dict[str, float]:
    """Every number that an evaluation measured and that might rank candidates."""
    own = {name: value for name, value in score.extra.items() if name != "score"}
    measured = {
        "accuracy": score.accuracy,
        "validation_loss": score.loss,
        # Of the network that was looked at, where that is another than the candidate.
        "params": own.get("network_params", float(score.params)),
        "flops": own.get("network_flops", float(score.flops)),
    }
    return measured | own
