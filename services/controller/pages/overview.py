"""The overview at `/`."""

from fastapi.responses import HTMLResponse

from services.controller.pages.page import PageDep, page_router

router = page_router()


@router.get("/")
def get_overview(page: PageDep) -> HTMLResponse:
    """What runs, what ran, and what failed and why."""
    return page.render("overview.html", section="/")
