"""Final trainings: /v1/final-trainings. They are submitted at their candidate, with `retrain`."""

from services.controller.routes.job_routes import JobResource, add_job_routes
from services.controller.views import final_training_view
from services.schemas import FinalTrainingView

FINAL_TRAININGS = JobResource(
    events="`progress`, `epoch`",
    model=FinalTrainingView,
    view=final_training_view,
)
router = FINAL_TRAININGS.router
add_job_routes(
    router,
    FINAL_TRAININGS,
    get="One final training; it tells the test accuracy once it has succeeded.",
    delete="Its weights go too; what was exported from them stays with who has it.",
)
