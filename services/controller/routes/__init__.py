"""The endpoints, one module per resource."""

from services.controller.routes import (
    candidates,
    catalogue,
    checkpoints,
    docs,
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
        final_trainings,
        catalogue,
        system,
    )
]
