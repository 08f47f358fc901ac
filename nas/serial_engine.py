"""A search in this process, one candidate after the other: for tests and small jobs."""

import time
import traceback
from pathlib import Path

import torch

from nas.estimators import make_estimator
from nas.estimators.base import CandidateFailed, Estimator, EstimatorData
from nas.search import CandidateResult, Failure, Proposal, Search, SearchObserver
from nas.search_spaces.base import SearchSpace


class SerialEngine:
    """Evaluates candidates where it is called; stops between candidates, never within one."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.device = device

    def run(self, search: Search, data: EstimatorData, observer: SearchObserver) -> None:
        """Return when the search is finished, its max_seconds have passed or should_stop() says so."""
        spec = search.spec
        estimator = make_estimator(spec.estimator.name, data, device=self.device, **spec.estimator.options)
        deadline = time.monotonic() + (spec.max_seconds or float("inf"))
        while time.monotonic() < deadline and not observer.should_stop():
            if (proposal := search.propose()) is None:
                return
            observer.on_proposal(proposal)
            result = evaluate_candidate(search.space, estimator, proposal)
            observer.on_result(result)
            search.complete(result)


def evaluate_candidate(space: SearchSpace, estimator: Estimator, proposal: Proposal) -> CandidateResult:
    """Score a proposal. Whatever its evaluation raises becomes the candidate's failure."""
    try:
        score = estimator.estimate(space, proposal.architecture, seed=proposal.seed)
    except CandidateFailed as failed:
        return CandidateResult(proposal, failure=Failure(failed.reason, failed.detail))
    except Exception as error:  # a candidate's fault must not end the search
        frame = traceback.extract_tb(error.__traceback__)[-1]
        detail = (
            f"{type(error).__name__}: {error} (in {frame.name}, {Path(frame.filename).name}:{frame.lineno})"
        )
        return CandidateResult(proposal, failure=Failure("error", detail))
    return CandidateResult(proposal, score=score)
