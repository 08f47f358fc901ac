"""A fidelity report at `/fidelity-reports/{id}`: how well proxy scores rank architectures."""

from typing import Annotated

from fastapi import Depends
from fastapi.responses import HTMLResponse

from services.controller.jobs import find_job
from services.controller.pages.page import PageDep, page_router
from services.controller.views import fidelity_report_view
from services.lifecycle import JobKind
from services.store import JobRecord

router = page_router()

Report = Annotated[JobRecord, Depends(find_job(JobKind.FIDELITY_REPORT))]


@router.get("/fidelity-reports/{fidelity_report_id}")
def get_report(page: PageDep, job: Report) -> HTMLResponse:
    """The page; while the report is being made, it asks again every few seconds."""
    template = "fidelity_body.html" if page.is_fragment else "fidelity.html"
    return page.render(template, section="/checkpoints", job=fidelity_report_view(job))
