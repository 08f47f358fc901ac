"""Architecture searches: /v1/searches."""

from typing import Annotated

from fastapi import Body, Response

from services.controller.dependencies import SettingsDep, StoreDep
from services.controller.idempotency import IdempotencyKeyHeader
from services.controller.jobs import Search
from services.controller.queries import SearchCandidateParameters
from services.controller.rankings import candidate_views, estimate_cost, whole_search_view
from services.controller.routes.job_routes import (
    JobResource,
    add_action,
    add_delete,
    add_edit,
    add_events,
    add_get,
    add_list,
)
from services.controller.security import SUBMITS
from services.controller.submission import Submission, SubmissionDep
from services.controller.validation import changed_search, check_search, extended_search
from services.controller.views import search_view
from services.lifecycle import Action
from services.schemas import CandidateView, Page, SearchPlan, SearchView
from services.schemas.requests import SearchRequest
from services.schemas.search_steering import SearchChanges, SearchExtension

SEARCHES = JobResource(
    events="`candidate`, `extended`",
    model=SearchView,
    view=search_view,
    view_alone=whole_search_view,
)
router = SEARCHES.router


@router.post(
    "",
    status_code=201,
    response_model=SearchView,
    responses={200: {"model": SearchPlan, "description": "With `validate_only`: nothing was submitted"}},
    dependencies=[SUBMITS],
    summary="Submit a search, or only check the request",
)
def create_search(
    request: SearchRequest,
    response: Response,
    settings: SettingsDep,
    store: StoreDep,
    submission: SubmissionDep,
    validate_only: bool = False,
) -> SearchView | Response:
    """Search architectures with the synthetic data of a frozen checkpoint.

    With `validate_only=true` nothing is stored: the answer is the request with its defaults filled in, and an
    estimate of what it would cost.
    """
    request = check_search(request, settings, store)
    if validate_only:
        body = request.model_dump(mode="json")
        plan = SearchPlan(request=body, estimate=estimate_cost(store, body))
        return Response(plan.model_dump_json(), media_type="application/json")
    return _submit(request, response, submission)


@router.post("/{search_id}/clone", status_code=201, dependencies=[SUBMITS], summary="Clone a search")
def clone_search(
    job: Search,
    response: Response,
    settings: SettingsDep,
    store: StoreDep,
    submission: SubmissionDep,
    changes: Annotated[SearchChanges | None, Body()] = None,
) -> SearchView:
    """Submit a new search with the request of this one, whatever its state, except for the fields given."""
    given = {} if changes is None else changes.model_dump(mode="json", exclude_unset=True)
    request = check_search(changed_search(job, given), settings, store)
    return _submit(request, response, submission)


def _submit(request: SearchRequest, response: Response, submission: Submission) -> SearchView:
    job = submission.search(request)
    response.headers["Location"] = f"{router.prefix}/{job.id}"
    return search_view(job)


add_list(router, SEARCHES)
add_get(router, SEARCHES, "One search, with its best candidate so far, and why others failed.")
add_edit(router, SEARCHES)
add_delete(
    router,
    SEARCHES,
    "Its candidates go too. Final trainings of these that have not ended are cancelled; of all of them the "
    "weights go, which nobody could export any more.",
)
add_action(
    router,
    SEARCHES,
    Action.PAUSE,
    "Stop scoring; candidates in flight are stopped and evaluated again after `resume`.",
)
add_action(
    router,
    SEARCHES,
    Action.RESUME,
    "Go on where the search was paused; one that failed tries again from what it has.",
)
add_action(router, SEARCHES, Action.CANCEL, "End a search for good; what was scored stays.")


@router.post("/{search_id}/extend", dependencies=[SUBMITS], summary="Extend a search")
def extend_search(
    job: Search,
    extension: SearchExtension,
    settings: SettingsDep,
    store: StoreDep,
    idempotency: IdempotencyKeyHeader,
) -> SearchView:
    """Give a search more candidates, or more time. One that has ended goes on; nothing is evaluated twice.

    A search that succeeded or failed is queued again and starts from what it has. A running one takes the
    addition up when it comes to its old end. A cancelled one is over for good: clone it.
    """
    # What it names may be gone since it was submitted, and its runner would only find that out.
    check_search(changed_search(job, {}), settings, store)
    extended = store.extend(job.id, lambda found: extended_search(found, extension), idempotency=idempotency)
    return whole_search_view(store, extended)


add_events(router, SEARCHES)


@router.get("/{search_id}/candidates", summary="List the candidates of a search, best first")
def list_search_candidates(
    job: Search, query: SearchCandidateParameters, store: StoreDep
) -> Page[CandidateView]:
    """One page of ranked architectures; ranks are those in the whole search."""
    page = store.list_candidates(
        query.filter(job.id), order_by=query.order_by, limit=query.limit, cursor=query.cursor
    )
    return Page(items=candidate_views(store, page.items), next_cursor=page.next_cursor)


@router.get("/{search_id}/pareto", summary="Get the Pareto front of a search")
def get_pareto_front(job: Search, store: StoreDep) -> Page[CandidateView]:
    """The candidates that no other beats in every objective of the search; all of them on one page."""
    front = store.pareto(job.id, job.request["objectives"])
    return Page(items=candidate_views(store, front))
