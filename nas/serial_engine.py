"""A search in this process, one candidate after the other: for notebooks, tests and small jobs."""

import time
from collections.abc import Callable

import torch

from nas.architecture import Architecture
from nas.candidates import CandidateResult, Proposal
from nas.estimators import make_estimator
from nas.estimators.base import CandidateScore, Estimator, EstimatorData
from nas.evaluation import EvaluationPlan, evaluate, evaluation_plan
from nas.ranking import rank
from nas.search import Search, SearchObserver
from nas.search_spec import SearchSpec, validate_spec


def search_in_process(
    spec: SearchSpec,
    data: EstimatorData,
    *,
    on_result: Callable[[CandidateResult], object] = lambda _: None,
    device: str | torch.device = "cpu",
) -> list[tuple[Architecture, CandidateScore]]:
    """A whole search, here and now: what it scored, the best first.

    `on_result` gets each candidate as it ends, those without a score included; nothing else keeps them if the
    search is interrupted. Raises UnknownNameError for a name that no registry holds, and ValidationError for
    an option that its owner refuses.
    """
    spec = validate_spec(spec)
    image_shape, num_classes = data.curriculum_images.shape[2:], data.curriculum_labels.shape[-1]
    results = _Results(on_result)
    SerialEngine(device).run(Search(spec, image_shape, num_classes), data, results)
    scored = [(result.proposal.architecture, result.score) for result in results.ended if result.score]
    return [scored[index] for index in rank([score for _, score in scored], spec.objectives)]


class _Results:
    """The observer that keeps results in memory."""

    def __init__(self, on_result: Callable[[CandidateResult], object]) -> None:
        self._on_result = on_result
        self.ended: list[CandidateResult] = []

    def on_proposal(self, proposal: Proposal) -> None:
        pass

    def on_result(self, result: CandidateResult) -> None:
        self.ended.append(result)
        self._on_result(result)

    def should_stop(self) -> bool:
        return False


class SerialEngine:
    """Evaluates candidates where it is called; stops between candidates, never within one.

    So `max_candidate_seconds` ends none here.
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.device = device

    def run(self, search: Search, data: EstimatorData, observer: SearchObserver) -> None:
        """Return when the search is finished, its max_seconds have passed or should_stop() says so."""
        spec = search.spec
        estimator = make_estimator(spec.estimator.name, data, device=self.device, **spec.estimator.options)
        plan = evaluation_plan(spec, search.shares, data)
        deadline = time.monotonic() + (spec.max_seconds or float("inf"))

        def should_stop() -> bool:
            return time.monotonic() >= deadline or observer.should_stop()

        while not should_stop():
            if (proposal := search.propose(should_stop)) is None:
                return
            observer.on_proposal(proposal)
            result = search.recall(proposal) or self._evaluate(search, estimator, proposal, plan)
            observer.on_result(result)
            search.complete(result)

    def _evaluate(
        self, search: Search, estimator: Estimator, proposal: Proposal, plan: EvaluationPlan
    ) -> CandidateResult:
        """The result at the last rung that the candidate reaches."""
        for result in evaluate(search.space, estimator, proposal, plan, self.device):
            if not search.goes_on(result):
                break
        return search.ended(result)
