"""Architecture searches: /v1/searches."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.controller.dependencies import SettingsDep, StoreDep
from services.controller.events import NOTHING_MORE, SearchEvents, send_events
from services.controller.idempotency import IdempotencyKeyHeader
from services.controller.jobs import Search
from services.controller.queries import JobParameters, SearchCandidateParameters
from services.controller.rankings import best_candidate, candidate_views, estimate_cost
from services.controller.security import READS, SUBMITS
from services.controller.validation import check_search
from services.controller.views import page_view, search_view
from services.lifecycle import Action, JobKind
from services.schemas import CandidateView, Page, SearchPlan, SearchView
from services.schemas.requests import SearchRequest
from services.telemetry import current_origin

router = APIRouter(prefix="/v1/searches", tags=["searches"], dependencies=[READS])


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
    idempotency: IdempotencyKeyHeader,
    validate_only: bool = False,
) -> SearchView | Response:
    """Search architectures with the synthetic data of a frozen checkpoint.

    With `validate_only=true` nothing is stored: the answer is the request with its defaults filled in, and an
    estimate of what it would cost.
    """
    request = check_search(request, settings, store)
    body = request.model_dump(mode="json")
    if validate_only:
        plan = SearchPlan(request=body, estimate=estimate_cost(store, body))
        return Response(plan.model_dump_json(), media_type="application/json")
    job = store.create_job(
        JobKind.SEARCH,
        name=request.name,
        request=body,
        subject_id=request.checkpoint_id,
        progress_total=request.max_candidates,
        origin=current_origin(),
        idempotency=idempotency,
    )
    response.headers["Location"] = f"{router.prefix}/{job.id}"
    return search_view(job)


@router.get("", summary="List searches, newest first")
def list_searches(query: JobParameters, store: StoreDep) -> Page[SearchView]:
    """One page of searches, without their best candidates."""
    page = store.list_jobs(JobKind.SEARCH, state=query.state, limit=query.limit, cursor=query.cursor)
    return page_view(page, search_view)


@router.get("/{search_id}", summary="Get a search")
def get_search(job: Search, store: StoreDep) -> SearchView:
    """One search, with its best candidate so far."""
    return search_view(job, best_candidate(store, job))


@router.delete("/{search_id}", status_code=204, dependencies=[SUBMITS], summary="Delete a search")
def delete_search(job: Search, store: StoreDep) -> None:
    """Delete a search that has ended, with its candidates and events."""
    store.delete_job(job.id)


@router.post("/{search_id}/pause", dependencies=[SUBMITS], summary="Pause a search")
def pause_search(job: Search, store: StoreDep) -> SearchView:
    """Stop scoring; candidates in flight are stopped and evaluated again after `resume`."""
    return _act(store, job.id, Action.PAUSE)


@router.post("/{search_id}/resume", dependencies=[SUBMITS], summary="Resume a paused search")
def resume_search(job: Search, store: StoreDep) -> SearchView:
    """Go on where the search was paused."""
    return _act(store, job.id, Action.RESUME)


@router.post("/{search_id}/cancel", dependencies=[SUBMITS], summary="Cancel a search")
def cancel_search(job: Search, store: StoreDep) -> SearchView:
    """End a search for good; what was scored stays."""
    return _act(store, job.id, Action.CANCEL)


def _act(store: StoreDep, search_id: str, action: Action) -> SearchView:
    job = store.act(search_id, action)
    return search_view(job, best_candidate(store, job))


@router.get(
    "/{search_id}/events",
    response_class=EventSourceResponse,
    responses=NOTHING_MORE,
    summary="Follow a search as server-sent events",
)
async def follow_search(request: Request, stream: SearchEvents) -> AsyncIterator[ServerSentEvent]:
    """Its events until it has ended: `state`, `candidate`. Resumable with `Last-Event-ID`."""
    async for event in send_events(request, stream):
        yield event


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
