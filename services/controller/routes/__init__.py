"""The endpoints, one module per resource."""

from services.controller.routes import (
    candidates,
    catalogue,
    checkpoints,
    docs,
    fidelity_reports,
    final_trainings,
    home,
    meta_trainings,
    searches,
    system,
)

ROUTERS = [
    module.router
    for module in (
        home,
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
