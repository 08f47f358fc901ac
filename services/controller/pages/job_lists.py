"""All jobs of a kind at /searches, /meta-trainings, /final-trainings and /fidelity-reports, newest first."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from fastapi.responses import HTMLResponse

from services.controller.pages.job_rows import KINDS, job_row
from services.controller.pages.page import Page, PageDep, page_router
from services.lifecycle import JobKind, JobState

router = page_router()

JOBS_PER_PAGE = 50
State = Annotated[JobState | None, Query()]
Cursor = Annotated[str | None, Query(max_length=1000)]


@router.get("/searches")
def list_searches(page: PageDep, state: State = None, cursor: Cursor = None) -> HTMLResponse:
    """Searches."""
    return _list(page, JobKind.SEARCH, state, cursor)


@router.get("/meta-trainings")
def list_meta_trainings(page: PageDep, state: State = None, cursor: Cursor = None) -> HTMLResponse:
    """Meta-training runs."""
    return _list(page, JobKind.META_TRAINING, state, cursor)


@router.get("/final-trainings")
def list_final_trainings(page: PageDep, state: State = None, cursor: Cursor = None) -> HTMLResponse:
    """Final trainings."""
    return _list(page, JobKind.FINAL_TRAINING, state, cursor)


@router.get("/fidelity-reports")
def list_fidelity_reports(page: PageDep, state: State = None, cursor: Cursor = None) -> HTMLResponse:
    """Fidelity reports."""
    return _list(page, JobKind.FIDELITY_REPORT, state, cursor)


def _list(page: Page, kind: JobKind, state: JobState | None, cursor: str | None) -> HTMLResponse:
    jobs = page.store.list_jobs(kind, state=state, limit=JOBS_PER_PAGE, cursor=cursor)
    counts = page.store.count_jobs()
    noun, place, _ = KINDS[kind]
    following = {"state": state, "cursor": jobs.next_cursor}
    return page.render(
        "job_list.html",
        section="/searches",
        kinds={f"/{place}": name for name, place, _ in KINDS.values()},
        place=f"/{place}",
        noun=noun,
        rows=[job_row(page.store, job) for job in jobs],
        state=state,
        counts={each.value: counts.get((kind, each), 0) for each in JobState},
        following=urlencode({key: value for key, value in following.items() if value})
        if jobs.next_cursor
        else "",
        later=cursor is not None,
    )
