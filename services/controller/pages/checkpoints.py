"""Frozen checkpoints at `/checkpoints` and `/checkpoints/{id}`."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse, Response

from gtn_core import CheckpointError
from services.controller.dependencies import PicturesDep
from services.controller.heavy_requests import HEAVY
from services.controller.pages.page import ACTS, PageDep, page_router
from services.controller.routes import checkpoints
from services.controller.routes.checkpoints import Checkpoint
from services.controller.views import checkpoint_view, fidelity_report_view
from services.errors import NotFoundError
from services.lifecycle import JobKind
from services.schemas.analysis import CurriculumView

router = page_router()

CARDS = 24
SEARCHES_SHOWN = 10


@router.get("/checkpoints")
def get_checkpoints(
    page: PageDep, cursor: Annotated[str | None, Query(max_length=1000)] = None
) -> HTMLResponse:
    """All checkpoints, newest first, each with a strip of its images."""
    found = page.store.list_checkpoints(limit=CARDS, cursor=cursor)
    reports = page.store.latest_jobs_of(JobKind.FIDELITY_REPORT, [record.id for record in found.items])
    return page.render(
        "checkpoints.html",
        section="/checkpoints",
        checkpoints=[checkpoint_view(record, reports.get(record.id)) for record in found.items],
        is_first=cursor is None,
        next_cursor=found.next_cursor,
    )


@router.get("/checkpoints/{checkpoint_id}", dependencies=[HEAVY])
def get_checkpoint(page: PageDep, checkpoint: Checkpoint, pictures: PicturesDep) -> HTMLResponse:
    """What it teaches, step by step, and how well that ranks architectures."""
    report = page.store.latest_jobs_of(JobKind.FIDELITY_REPORT, [checkpoint.id]).get(checkpoint.id)
    curriculum: CurriculumView | None
    try:
        curriculum, problem = pictures.curriculum(checkpoint.id), ""
    except (CheckpointError, NotFoundError) as error:  # the row outlives a file that someone removed
        curriculum, problem = None, str(error)
    return page.render(
        "checkpoint.html",
        section="/checkpoints",
        checkpoint=checkpoint_view(checkpoint, report),
        manifest=checkpoint.manifest,
        curriculum=curriculum,
        problem=problem,
        report=fidelity_report_view(report) if report else None,
        searches=page.store.list_jobs(JobKind.SEARCH, subject_id=checkpoint.id, limit=SEARCHES_SHOWN),
    )


@router.post("/checkpoints/{checkpoint_id}/delete", dependencies=ACTS)
def delete(page: PageDep, checkpoint: Checkpoint) -> Response:
    """Delete one that nothing is about."""
    checkpoints.delete_checkpoint(checkpoint, page.store)
    return page.redirect("/checkpoints")
