"""What estimators of other packages may return, and what becomes of a candidate when it is something else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nas.candidates import CandidateResult
from nas.estimators.base import CandidateScore
from nas.evaluation import EvaluationPlan, evaluate
from nas.search import Search
from nas.search_spec import SearchSpec

SCORE = CandidateScore(0.75, 1.0, (2.0, 1.0), 100, 1000, 0.5, {"own": 3.0, "score": 7.0})


class Returns:
    """Has looked at every architecture already."""

    config = None

    def __init__(self, returned: Any) -> None:
        self.returned = returned

    def estimate(self, *_: Any, **__: Any) -> Any:
        return self.returned


def outcome(returned: Any) -> CandidateResult:
    spec = SearchSpec(max_candidates=1)
    search = Search(spec, (1, 8, 8), 10)
    proposal = search.propose()
    assert proposal is not None
    estimator: Any = Returns(returned)
    (result,) = evaluate(search.space, estimator, proposal, EvaluationPlan(spec, (1.0,), (1, 8, 8), 10))
    return result


def test_numbers_become_python_s_own() -> None:
    numpys = replace(
        SCORE, accuracy=np.float64(0.75), params=np.int64(100), extra=SCORE.extra | {"own": np.float32(3)}
    )

    assert outcome(numpys).score == SCORE

    tensors = replace(
        SCORE,
        loss=torch.tensor(1.0),
        loss_curve=torch.tensor([2.0, 1.0]),
        params=torch.tensor(100),
        flops=torch.tensor(1000, dtype=torch.int32),
    )
    assert outcome(tensors).score == SCORE


def test_the_score_is_recorded_although_it_is_the_accuracy() -> None:
    score = outcome(replace(SCORE, extra={})).score

    assert score is not None
    assert score.extra == {"score": 0.75}


@pytest.mark.parametrize(
    ("returned", "reason", "detail"),
    [
        (None, "error", "the estimator returned None; expected a CandidateScore"),
        (0.5, "error", "the estimator returned 0.5; expected a CandidateScore"),
        (replace(SCORE, params=2**63), "error", f"params is {2**63}; expected 0 to 2^63 - 1"),
        (replace(SCORE, flops=-1), "error", "flops is -1; expected 0 to 2^63 - 1"),
        (replace(SCORE, accuracy=75.0), "error", "accuracy is 75.0; expected a share from 0 to 1"),
        (replace(SCORE, accuracy=float("nan")), "non-finite", "accuracy is nan"),
        (replace(SCORE, extra={"own": float("inf")}), "non-finite", "own is inf"),
    ],
)
def test_what_is_no_score_fails_the_candidate(returned: Any, reason: str, detail: str) -> None:
    failure = outcome(returned).failure

    assert failure is not None
    assert (failure.reason, failure.detail) == (reason, detail)
