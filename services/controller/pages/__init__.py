"""The pages of the dashboard, one module per page. Their templates are in `services.dashboard`."""

from services.controller.pages import candidate, checkpoints, fidelity, login, overview, search

ROUTERS = [module.router for module in (overview, login, search, candidate, checkpoints, fidelity)]
