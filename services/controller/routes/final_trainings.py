"""Final trainings: /v1/final-trainings. They are submitted at their candidate, with `retrain`."""

from services.controller.routes.job_routes import (
    JobResource,
    add_cancel,
    add_delete,
    add_events,
    add_get,
    add_list,
)
from services.controller.views import final_training_view
from services.lifecycle import JobKind
from services.schemas import FinalTrainingView

FINAL_TRAININGS = JobResource(
    kind=JobKind.FINAL_TRAINING,
    noun="final training",
    plural="final trainings",
    events="`progress`, `epoch`",
    model=FinalTrainingView,
    view=final_training_view,
)
router = FINAL_TRAININGS.router
add_list(router, FINAL_TRAININGS)
add_get(router, FINAL_TRAININGS, "One final training; it tells the test accuracy once it has succeeded.")
add_cancel(router, FINAL_TRAININGS)
add_delete(router, FINAL_TRAININGS, "Its weights go too; what was exported from them stays with who has it.")
add_events(router, FINAL_TRAININGS)
