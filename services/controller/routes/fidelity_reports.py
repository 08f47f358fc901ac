"""Fidelity reports: /v1/fidelity-reports."""

from fastapi import Response

from services.controller.dependencies import SettingsDep, StoreDep
from services.controller.fidelity_validation import check_fidelity_report
from services.controller.routes.job_routes import JobResource, add_job_routes
from services.controller.security import SUBMITS
from services.controller.submission import SubmissionDep
from services.controller.views import fidelity_report_view
from services.lifecycle import JobKind
from services.schemas import FidelityReportView
from services.schemas.fidelity import FidelityReportRequest

FIDELITY_REPORTS = JobResource(
    events="`progress`, `scored`",
    model=FidelityReportView,
    view=fidelity_report_view,
)
router = FIDELITY_REPORTS.router


@router.post("", status_code=201, dependencies=[SUBMITS], summary="Ask for a fidelity report")
def create_fidelity_report(
    request: FidelityReportRequest,
    response: Response,
    settings: SettingsDep,
    store: StoreDep,
    submission: SubmissionDep,
) -> FidelityReportView:
    """Measure how well estimators rank architectures: against a table, or against longer real trainings."""
    request = check_fidelity_report(request, settings, store)
    job = submission.job(
        JobKind.FIDELITY_REPORT,
        request,
        total=request.evaluations(with_table=request.table is not None),
        subject_id=request.checkpoint_id,
    )
    response.headers["Location"] = f"{router.prefix}/{job.id}"
    return fidelity_report_view(job)


add_job_routes(
    router,
    FIDELITY_REPORTS,
    get="One report; `report` is there once it has succeeded.",
    delete="What it measured is gone.",
)
