"""The endpoints, one module per resource."""

from services.controller.routes import (
    candidate_analysis,
    candidates,
    catalogue,
    checkpoints,
    docs,
    fidelity_reports,
    final_trainings,
    meta_trainings,
    search_analysis,
    search_download,
    searches,
    system,
)

ROUTERS = [
    module.router
    for module in (
        docs,
        meta_trainings,
        checkpoints,
        searches,
        search_analysis,
        search_download,
        candidates,
        candidate_analysis,
        fidelity_reports,
        final_trainings,
        catalogue,
        system,
    )
]
