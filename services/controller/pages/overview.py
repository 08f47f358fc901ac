"""The overview at `/`: what runs, what ran, what failed and why, and how busy the cluster is."""

import hashlib
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse, Response

from services.controller.cluster import cluster_view
from services.controller.pages.job_rows import JobRow, job_row
from services.controller.pages.page import Page, PageDep, page_router
from services.errors import ClusterUnavailableError
from services.lifecycle import TERMINAL_STATES, JobKind, JobState
from services.schemas import ClusterView
from services.store import JobRecord, Store

router = page_router()

ACTIVE = (JobState.RUNNING, JobState.PAUSED, JobState.QUEUED)
MOST_ACTIVE = 12
MOST_RECENT = 12
MOST_FAILED = 5


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows."""

    active: list[JobRow]
    active_total: int
    recent: list[JobRow]
    failed: list[JobRow]
    counts: dict[str, int]  # state -> jobs
    empty: bool

    @property
    def tag(self) -> str:
        """Changes with what is shown; relative times aside, which the browser keeps current itself."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@router.get("/")
def get_overview(page: PageDep) -> HTMLResponse:
    """What runs, what ran, and what failed and why."""
    return page.render("overview.html", section="/", overview=_overview(page.store))


@router.get("/overview/jobs")
def get_jobs(page: PageDep, seen: Annotated[str, Query(max_length=64)] = "") -> Response:
    """The jobs of the overview, or 204 where the browser shows them already: then nothing is replaced."""
    overview = _overview(page.store)
    if overview.tag == seen:
        return Response(status_code=204)
    return page.render("overview_jobs.html", overview=overview)


@router.get("/overview/cluster")
def get_cluster(page: PageDep) -> HTMLResponse:
    """The machines. Apart from the rest: a Ray cluster is asked over the network, and may not answer."""
    cluster, problem = _cluster(page)
    return page.render("overview_cluster.html", cluster=cluster, problem=problem)


def _cluster(page: Page) -> tuple[ClusterView | None, str]:
    try:
        return cluster_view(page.store, page.settings.ray_jobs_url), ""
    except ClusterUnavailableError as error:
        return None, str(error)


def _overview(store: Store) -> Overview:
    counts = store.count_jobs()
    by_state = {state: sum(counts.get((kind, state), 0) for kind in JobKind) for state in JobState}
    active = [job for state in ACTIVE for job in _latest(store, state, by_state[state])]
    ended = [job for state in TERMINAL_STATES for job in _latest(store, state, by_state[state])]
    ended.sort(key=lambda job: job.finished_at or job.created_at, reverse=True)
    failed = [job for job in ended if job.state is JobState.FAILED]
    return Overview(
        active=[job_row(store, job) for job in active[:MOST_ACTIVE]],
        active_total=sum(by_state[state] for state in ACTIVE),
        recent=[job_row(store, job) for job in ended[:MOST_RECENT]],
        failed=[job_row(store, job) for job in failed[:MOST_FAILED]],
        counts={state.value: by_state[state] for state in JobState},
        empty=not counts,
    )


def _latest(store: Store, state: JobState, count: int) -> list[JobRecord]:
    """The newest jobs of a state, of all kinds."""
    if not count:
        return []
    jobs = [job for kind in JobKind for job in store.list_jobs(kind, state=state, limit=MOST_ACTIVE)]
    return sorted(jobs, key=lambda job: (job.created_at, job.id), reverse=True)
