"""What is read from candidates of a search: the best, failures, final trainings, and what more would cost."""

from collections.abc import Sequence
from statistics import median

from services.controller.views import candidate_view, search_view
from services.lifecycle import CandidateState, JobKind
from services.objectives import scoring_conditions
from services.schemas import CandidateView, CostEstimate, FailureSummary, SearchView
from services.store import CandidateFilter, CandidateRecord, JobRecord, JsonObject, Store, candidate_id

SEARCHES_COMPARED = 50
CANDIDATES_COMPARED = 200


def whole_search_view(store: Store, search: JobRecord) -> SearchView:
    """A search with its best candidate, and why others failed."""
    return search_view(search, best_candidate(store, search), failures(store, search))


def best_candidate(store: Store, search: JobRecord) -> CandidateView | None:
    """The best succeeded candidate by the search's first objective."""
    best = store.list_candidates(
        CandidateFilter(search.id, CandidateState.SUCCEEDED), order_by="rank", limit=1
    )
    return next(iter(candidate_views(store, best.items)), None)


def failures(store: Store, search: JobRecord) -> list[FailureSummary]:
    """Why candidates of the search failed, the most frequent reason first."""
    return [
        FailureSummary(
            reason=each.reason,
            count=each.count,
            first=candidate_id(search.id, each.first),
            detail=each.detail,
        )
        for each in store.failures(search.id)
    ]


def candidate_views(store: Store, candidates: Sequence[CandidateRecord]) -> list[CandidateView]:
    """Candidates, each with its latest final training."""
    trained = store.latest_jobs_of(JobKind.FINAL_TRAINING, [candidate.id for candidate in candidates])
    return [candidate_view(candidate, trained.get(candidate.id)) for candidate in candidates]


def latest_final_training(store: Store, candidate_id: str) -> JobRecord | None:
    """The candidate's latest final training, in whatever state."""
    return store.latest_jobs_of(JobKind.FINAL_TRAINING, [candidate_id]).get(candidate_id)


def estimate_cost(store: Store, request: JsonObject) -> CostEstimate | None:
    """Judge a search by the latest one that scored candidates of the same kind in the same way."""
    for job in store.list_jobs(JobKind.SEARCH, limit=SEARCHES_COMPARED):
        if scoring_conditions(job.request, seeded=False) == scoring_conditions(request, seeded=False):
            scored = store.list_candidates(
                CandidateFilter(job.id, CandidateState.SUCCEEDED), limit=CANDIDATES_COMPARED
            )
            seconds = [candidate.metrics["seconds"] for candidate in scored if candidate.metrics]
            if seconds:
                return CostEstimate(
                    candidates=request["max_candidates"],
                    seconds_per_candidate=median(seconds),
                    evaluation_seconds=median(seconds) * request["max_candidates"],
                    based_on=len(seconds),
                )
    return None
