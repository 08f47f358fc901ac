"""Searches of the plugin's space of words, evaluated by counting letters."""

from typing import Any

from nas.candidates import CandidateResult, Failure, Proposal
from nas.estimators.base import CandidateScore
from nas.search import Search
from nas.search_spec import SearchSpec

IMAGE_SHAPE, NUM_CLASSES = (1, 4, 4), 3
ALGORITHMS = {
    "random_search": {"name": "random_search"},
    "regularized_evolution": {"name": "regularized_evolution", "population_size": 4, "sample_size": 2},
    "local_search": {"name": "local_search", "initial_samples": 2},
    "tpe": {"name": "tpe", "startup_candidates": 4},
    "nsga2": {"name": "nsga2", "population_size": 4},
    "predictor_evolution": {"name": "predictor_evolution", "initial_samples": 4, "pool_size": 10},
}


def make_spec(**changes: Any) -> SearchSpec:
    letters = {"search_space": {"name": "letters", "length": 6}, "max_candidates": 12}
    return SearchSpec.model_validate(letters | changes)


def make_search(spec: SearchSpec, *record: Any, **keywords: Any) -> Search:
    return Search(spec, IMAGE_SHAPE, NUM_CLASSES, *record, **keywords)


def evaluated(proposal: Proposal) -> CandidateResult:
    """Every fifth candidate fails; the rest score by the share of "c"."""
    if proposal.number % 5 == 4:
        return CandidateResult(proposal, failure=Failure("non-finite", "as arranged"))
    accuracy = proposal.architecture.encoding.count("c") / 6
    return CandidateResult(proposal, score=CandidateScore(accuracy, 1 - accuracy, (), 5, 7, 0.1, {}))


def run(search: Search) -> list[CandidateResult]:
    results = []
    while (proposal := search.propose()) is not None:
        results.append(evaluated(proposal))
        search.complete(results[-1])
    return results
