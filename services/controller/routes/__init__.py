"""The endpoints, one module per resource."""

from services.controller.routes import (
    candidates,
    catalogue,
    checkpoints,
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
        meta_trainings,
        checkpoints,
        searches,
        candidates,
        final_trainings,
        catalogue,
        system,
    )
]
