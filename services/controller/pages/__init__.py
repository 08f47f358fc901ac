"""The pages of the dashboard, one module per page. Their templates are in `services.dashboard`."""

from services.controller.pages import (
    candidate,
    checkpoints,
    fidelity,
    job_actions,
    job_lists,
    login,
    new_search,
    overview,
    search,
    search_comparison,
    settings,
    trainings,
)

ROUTERS = [
    module.router
    for module in (
        overview,
        new_search,
        search_comparison,
        job_lists,
        settings,
        login,
        trainings,
        search,
        candidate,
        checkpoints,
        fidelity,
        job_actions,
    )
]
