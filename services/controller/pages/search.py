"""A search at `/searches/{id}`: how far it is, what it found, what goes with good scores; its steering."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Form, Query
from fastapi.responses import HTMLResponse, Response

from nas.ranking import DIRECTIONS
from services.controller.heavy_requests import HEAVY
from services.controller.jobs import Search
from services.controller.pages.page import ACTS, PageDep, from_form, page_router
from services.controller.queries import SearchCandidateParameters, SearchCandidateQuery
from services.controller.rankings import best_candidate, candidate_views
from services.controller.routes import searches
from services.controller.search_analysis import extra_metrics, importance
from services.controller.submission import SubmissionDep
from services.controller.views import search_view
from services.dashboard.importance import grids
from services.dashboard.search_facts import search_facts
from services.lifecycle import CandidateState, JobState
from services.objectives import first_objective
from services.schemas import CandidateView, SearchView
from services.schemas.search_steering import SearchChanges, SearchExtension
from services.store import EventType, JobRecord, Store

router = page_router()

ROWS = 25
EVENTS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """What changes while a search runs."""

    search: SearchView
    objective: str  # by which the best is the best
    succeeded: int
    failed: int
    running: int
    per_second: float | None  # candidates, over the latest ones
    seconds_left: float | None
    seconds: float | None  # since the start, until the end

    @property
    def tag(self) -> str:
        """Changes with what is shown; time that passes aside, while nothing else happens."""
        shown = (self.search, self.succeeded, self.failed, self.running, self.per_second)
        return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


@router.get("/searches/{search_id}")
def get_search(page: PageDep, job: Search) -> HTMLResponse:
    """The page. What needs many candidates is fetched by its scripts, so that it is there at once."""
    metrics = _metrics(job)
    return page.render(
        "search.html",
        section="/searches",
        job=job,
        progress=_progress(page.store, job),
        objective=first_objective(job.request),
        metrics=metrics,
        directions={name: DIRECTIONS[name] for name in metrics},
        facts=search_facts(job.request),
        **_table(page.store, job, SearchCandidateQuery(limit=ROWS)),
    )


@router.get("/searches/{search_id}/progress")
def get_progress(page: PageDep, job: Search, seen: Annotated[str, Query(max_length=64)] = "") -> Response:
    """How far the search is; 204 where the browser shows that already."""
    progress = _progress(page.store, job)
    if progress.tag == seen:
        return Response(status_code=204)
    return page.render("search_progress.html", job=job, progress=progress)


@router.get("/searches/{search_id}/table")
def get_table(page: PageDep, job: Search, query: SearchCandidateParameters) -> HTMLResponse:
    """One page of the candidates' table."""
    query = query.model_copy(update={"limit": ROWS})
    return page.render("search_table.html", job=job, **_table(page.store, job, query))


@router.get("/searches/{search_id}/importance", dependencies=[HEAVY])
def get_importance(page: PageDep, job: Search) -> HTMLResponse:
    """Which options go with good scores, as tables with one colour for better and one for worse."""
    found = importance(page.store, job, first_objective(job.request))
    return page.render("search_importance.html", job=job, importance=found, grids=grids(found))


@router.get("/searches/{search_id}/history")
def get_history(page: PageDep, job: Search) -> HTMLResponse:
    """What happened to the search, and why candidates failed."""
    types = (
        EventType.STATE,
        EventType.EDITED,
        EventType.EXTENDED,
        EventType.WAITING,
        EventType.SUSPENDED,
    )
    return page.render(
        "search_history.html",
        job=job,
        events=page.store.latest_events(job.id, types, EVENTS_SHOWN),
        failures=page.store.failures(job.id),
    )


@router.post("/searches/{search_id}/extend", dependencies=ACTS)
def extend(
    page: PageDep,
    job: Search,
    additional_candidates: Annotated[int, Form()] = 0,
    additional_seconds: Annotated[float, Form()] = 0,
) -> Response:
    """Give it more candidates, or more time."""
    extension = from_form(
        SearchExtension, additional_candidates=additional_candidates, additional_seconds=additional_seconds
    )
    searches.extend_search(job, extension, page.settings, page.store, None)
    return page.redirect(f"/searches/{job.id}")


@router.post("/searches/{search_id}/clone", dependencies=ACTS)
def clone(
    page: PageDep,
    job: Search,
    submission: SubmissionDep,
    max_candidates: Annotated[int, Form()],
    seed: Annotated[int, Form()],
    name: Annotated[str, Form()] = "",
) -> Response:
    """Submit another search like it."""
    changes = from_form(SearchChanges, name=name, max_candidates=max_candidates, seed=seed)
    made = searches.clone_search(job, Response(), page.settings, page.store, submission, changes)
    return page.redirect(f"/searches/{made.id}")


def _progress(store: Store, job: JobRecord) -> Progress:
    counts = store.count_by_state(job.id)
    rate = store.recent_rate(job.id) if job.state is JobState.RUNNING else None
    left = job.progress_total - job.progress_done
    until = job.finished_at or datetime.now(UTC)
    return Progress(
        search=search_view(job, best_candidate(store, job) if job.progress_done else None),
        objective=first_objective(job.request),
        succeeded=counts.get(CandidateState.SUCCEEDED, 0),
        failed=counts.get(CandidateState.FAILED, 0),
        running=counts.get(CandidateState.RUNNING, 0),
        per_second=rate,
        seconds_left=left / rate if rate else None,
        seconds=(until - job.started_at).total_seconds() if job.started_at else None,
    )


def _table(store: Store, job: JobRecord, query: SearchCandidateQuery) -> dict[str, Any]:
    """What the table's template takes."""
    found = store.list_candidates(
        query.filter(job.id), order_by=query.order_by, limit=query.limit, cursor=query.cursor
    )
    candidates: list[CandidateView] = candidate_views(store, found.items)
    selection = query.model_dump(exclude_none=True, exclude={"limit", "cursor", "order_by"}, mode="json")
    pages = f"/v1/searches/{job.id}/candidates?" + urlencode(
        selection | {"order_by": query.order_by, "limit": query.limit}
    )
    return {
        "candidates": candidates,
        "order_by": query.order_by,
        "selection": selection,
        "is_first": query.cursor is None,
        "next_cursor": found.next_cursor,
        "table_api": pages + (f"&{urlencode({'cursor': query.cursor})}" if query.cursor else ""),
        "extra_columns": extra_metrics(job),
        "address": lambda **changes: (
            f"/searches/{job.id}/table?" + urlencode({"order_by": query.order_by, **selection, **changes})
        ),
        "download": lambda kind: (
            f"/v1/searches/{job.id}/download?"
            + urlencode({"format": kind, "order_by": query.order_by, **selection})
        ),
    }


def _metrics(job: JobRecord) -> list[str]:
    """What the axes of plots can be."""
    return ["accuracy", "params", "flops", "seconds", "loss", *extra_metrics(job)]
