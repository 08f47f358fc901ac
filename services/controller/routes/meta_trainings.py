"""Meta-training runs: /v1/meta-trainings."""

from fastapi import Response

from services.controller.dependencies import SettingsDep, StoreDep
from services.controller.meta_training_validation import check_meta_training
from services.controller.routes.job_routes import JobResource, add_job_routes
from services.controller.security import SUBMITS
from services.controller.submission import SubmissionDep
from services.controller.views import meta_training_view
from services.lifecycle import JobKind
from services.schemas import MetaTrainingView
from services.schemas.requests import MetaTrainingRequest

META_TRAININGS = JobResource(
    events="`progress`, `calibrated`, `meta_step`, `log`",
    model=MetaTrainingView,
    view=meta_training_view,
)
router = META_TRAININGS.router


@router.post("", status_code=201, dependencies=[SUBMITS], summary="Submit a meta-training")
def create_meta_training(
    request: MetaTrainingRequest,
    response: Response,
    settings: SettingsDep,
    store: StoreDep,
    submission: SubmissionDep,
) -> MetaTrainingView:
    """Meta-train a generator on a data set. Its product is a frozen checkpoint."""
    request = check_meta_training(request, settings, store)
    job = submission.job(
        JobKind.META_TRAINING,
        request,
        total=request.config.meta_steps,
    )
    response.headers["Location"] = f"{router.prefix}/{job.id}"
    return meta_training_view(job)


add_job_routes(
    router,
    META_TRAININGS,
    get="One run; `checkpoint_id` names its product once it has succeeded.",
    delete="Its checkpoint stays.",
)
