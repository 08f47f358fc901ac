"""A search in this process, one candidate after the other: for tests and small jobs."""

import time

import torch

from nas.estimators import make_estimator
from nas.estimators.base import Estimator, EstimatorData
from nas.evaluation import Evaluation, evaluate, evaluation_of
from nas.search import CandidateResult, Proposal, Search, SearchObserver


class SerialEngine:
    """Evaluates candidates where it is called; stops between candidates, never within one."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.device = device

    def run(self, search: Search, data: EstimatorData, observer: SearchObserver) -> None:
        """Return when the search is finished, its max_seconds have passed or should_stop() says so."""
        spec = search.spec
        estimator = make_estimator(spec.estimator.name, data, device=self.device, **spec.estimator.options)
        evaluation = evaluation_of(spec, search.shares, data)
        deadline = time.monotonic() + (spec.max_seconds or float("inf"))

        def should_stop() -> bool:
            return time.monotonic() >= deadline or observer.should_stop()

        while not should_stop():
            if (proposal := search.propose(should_stop)) is None:
                return
            observer.on_proposal(proposal)
            result = search.recall(proposal) or self._evaluate(search, estimator, proposal, evaluation)
            observer.on_result(result)
            search.complete(result)

    def _evaluate(
        self, search: Search, estimator: Estimator, proposal: Proposal, evaluation: Evaluation
    ) -> CandidateResult:
        """The result at the last rung that the candidate reaches."""
        for result in evaluate(search.space, estimator, proposal, evaluation, self.device):
            if not search.goes_on(result):
                break
        return search.ended(result)
