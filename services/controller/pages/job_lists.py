"""All jobs of a kind at /searches, /meta-trainings, /final-trainings and /fidelity-reports, newest first."""

from urllib.parse import urlencode

from fastapi.responses import HTMLResponse

from services.controller.pages.job_rows import job_row
from services.controller.pages.page import Page, PageDep, page_router
from services.controller.queries import JobParameters, JobQuery
from services.lifecycle import JobKind, JobState

router = page_router()

JOBS_PER_PAGE = 50


def _add_list(kind: JobKind) -> None:
    def list_jobs(page: PageDep, query: JobParameters) -> HTMLResponse:
        return _list(page, kind, query)

    router.get(f"/{kind.place}")(list_jobs)


def _list(page: Page, kind: JobKind, query: JobQuery) -> HTMLResponse:
    jobs = page.store.list_jobs(
        kind, state=query.state, name=query.name, limit=JOBS_PER_PAGE, cursor=query.cursor
    )
    counts = page.store.count_jobs()

    def address(**changes: str) -> str:
        """This list otherwise; what is empty is left out."""
        asked = {"state": query.state, "name": query.name, "cursor": query.cursor} | changes
        given = urlencode({key: value for key, value in asked.items() if value})
        return f"/{kind.place}?{given}" if given else f"/{kind.place}"

    return page.render(
        "job_list.html",
        section="/searches",
        kinds=list(JobKind),
        kind=kind,
        rows=[job_row(page.store, job) for job in jobs],
        state=query.state,
        name=query.name or "",
        counts={each.value: counts.get((kind, each), 0) for each in JobState},
        address=address,
        following=jobs.next_cursor,
        later=query.cursor is not None,
    )


for _kind in JobKind:
    _add_list(_kind)
