"""The page at `/`: the latest searches, and where to go from here. Plain HTML, made on the server."""

from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from services.controller.dependencies import SettingsDep, StoreDep
from services.controller.security import is_open
from services.lifecycle import JobKind
from services.store import JobRecord

router = APIRouter(include_in_schema=False)

LATEST = 20
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@router.get("/", response_class=HTMLResponse)
def get_home(request: Request, settings: SettingsDep, store: StoreDep) -> HTMLResponse:
    """The latest searches, where the API is open; with keys in use a browser, having none, sees links."""
    if is_open(request, settings, store):
        searches = _searches(store.list_jobs(JobKind.SEARCH, limit=LATEST).items)
    else:
        searches = _LOCKED
    return HTMLResponse(_PAGE.format(searches=searches), headers={"Content-Security-Policy": POLICY})


def _searches(jobs: list[JobRecord]) -> str:
    if not jobs:
        return "<p>No search has been submitted yet.</p>"
    rows = "".join(_row(job) for job in jobs)
    heads = "".join(
        f"<th>{head}</th>" for head in ("Search", "Name", "Space", "State", "Candidates", "Submitted")
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _row(job: JobRecord) -> str:
    cells = (
        job.name,
        job.request["search_space"]["name"],
        job.state,
        f"{job.progress_done} / {job.progress_total}",
        f"{job.created_at:%Y-%m-%d %H:%M} UTC",
    )
    link = f'<a href="/v1/searches/{escape(job.id)}/candidates">{escape(job.id)}</a>'
    return f"<tr><td>{link}</td>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


_LOCKED = (
    "<p>This controller asks for an API key, which a browser does not send: use <code>gtn-nas</code>.</p>"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>GTN-NAS</title>
<link rel="stylesheet" href="/assets/home.css">
</head>
<body>
<h1>GTN-NAS</h1>
<p>Neural architecture search on Generative Teaching Networks.</p>
<h2>Latest searches</h2>
{searches}
<p><a href="/docs">API documentation</a> · <a href="/openapi.json">OpenAPI</a> ·
<a href="/v1/cluster">Cluster</a> · <a href="/readyz">Readiness</a> · <a href="/metrics">Metrics</a></p>
</body>
</html>
"""
