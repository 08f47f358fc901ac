"""The pages of the dashboard, one module per page. Their templates are in `services.dashboard`."""

from services.controller.pages import login, new_search, overview

ROUTERS = [module.router for module in (overview, new_search, login)]
