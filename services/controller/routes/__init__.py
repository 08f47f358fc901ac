"""The endpoints, one module per resource."""

from services.controller.routes import (
    candidates,
    catalogue,
    checkpoints,
    docs,
    fidelity_reports,
    final_trainings,
    meta_trainings,
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
        candidates,
        fidelity_reports,
        final_trainings,
        catalogue,
        system,
    )
]
