"""Readouts of an evaluation written out by hand."""

import pytest

from nas.estimators import CandidateScore
from nas.estimators.readouts import gain, readout_values, sums_of_losses


def evaluation(**extra: float) -> CandidateScore:
    return CandidateScore(0.7, 1.5, (3.0, 2.0, 1.0), params=9, flops=99, seconds=0.5, extra=extra)


def test_the_late_sum_begins_in_the_middle() -> None:
    assert sums_of_losses([4.0, 3.0, 2.0, 1.0]) == {"sum_training_loss": 10.0, "sum_training_loss_late": 3.0}
    assert sums_of_losses([3.0, 2.0, 1.0])["sum_training_loss_late"] == 3.0
    assert sums_of_losses([]) == {"sum_training_loss": 0.0, "sum_training_loss_late": 0.0}


def test_losses_are_negated_and_everything_else_is_not() -> None:
    score = evaluation(sum_training_loss=6.0, synflow=12.0, score=-1.0)
    assert [
        gain(score, name) for name in ("accuracy", "validation_loss", "sum_training_loss", "synflow")
    ] == [
        0.7,
        -1.5,
        -6.0,
        12.0,
    ]
    always = {"accuracy", "validation_loss", "params", "flops"}
    assert set(readout_values(score)) == always | {"sum_training_loss", "synflow"}


def test_an_unknown_readout_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no readout 'synflow'; it has accuracy, flops, params"):
        gain(evaluation(), "synflow")


def test_without_a_readout_of_its_own_a_score_is_the_accuracy() -> None:
    assert evaluation().score == 0.7
    assert evaluation(score=-3.0).score == -3.0
