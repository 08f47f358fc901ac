"""The pages of the dashboard, one module per page. Their templates are in `services.dashboard`."""

from services.controller.pages import login, overview

ROUTERS = [module.router for module in (overview, login)]
