"""Meta-trainings at /meta-trainings/{id} and final trainings at /final-trainings/{id}, with live curves."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response

from services.controller.jobs import find_job
from services.controller.pages.job_rows import JobRow, job_row
from services.controller.pages.page import Page, PageDep, page_router
from services.dashboard.training_facts import (
    FINAL_CURVES,
    META_CURVES,
    Curves,
    final_training_facts,
    final_training_figures,
    meta_training_facts,
    meta_training_figures,
)
from services.errors import NotFoundError
from services.lifecycle import JobKind
from services.store import EventType, JobRecord, JsonObject, Store

router = page_router()

POINTS = 2000
"""Most points of a curve that are sent at a time, and of its rare values; of more, evenly spaced ones."""
EVENTS_SHOWN = 30

After = Annotated[int, Query(ge=0, lt=2**63)]
Seen = Annotated[str, Query(max_length=64)]


@dataclass(frozen=True, slots=True)
class Kind:
    """What sets one kind of training apart."""

    event: str
    curves: Curves
    facts: Callable[[JsonObject], list[tuple[str, str]]]
    figures: Callable[[JobRecord, JsonObject | None], list[tuple[str, str, str]]]


TRAININGS = {
    JobKind.META_TRAINING: Kind("meta_step", META_CURVES, meta_training_facts, meta_training_figures),
    JobKind.FINAL_TRAINING: Kind("epoch", FINAL_CURVES, final_training_facts, final_training_figures),
}


@dataclass(frozen=True, slots=True)
class Progress:
    """What changes while a training runs."""

    row: JobRow
    figures: list[tuple[str, str, str]]  # label, text, note
    seconds: float | None  # since the start, until the end
    seconds_left: float | None

    @property
    def tag(self) -> str:
        """Changes with what is shown; time that passes aside, while nothing else happens."""
        return hashlib.sha256(repr((self.row, self.figures)).encode()).hexdigest()[:16]


def _add_pages(kind: JobKind) -> None:
    path = f"/{kind.place}/{{{kind}_id}}"
    job_of_path = find_job(kind)

    @router.get(path)
    def get_training(page: PageDep, job: Annotated[JobRecord, Depends(job_of_path)]) -> HTMLResponse:
        """A training, and what became of it."""
        return _page(page, job)

    @router.get(f"{path}/progress")
    def get_progress(
        page: PageDep, job: Annotated[JobRecord, Depends(job_of_path)], seen: Seen = ""
    ) -> Response:
        """How far it is."""
        return _progress_part(page, job, seen)

    @router.get(f"{path}/curve")
    def get_curve(
        page: PageDep, job: Annotated[JobRecord, Depends(job_of_path)], after: After = 0
    ) -> Response:
        """The points of its curves that come after an event."""
        return _curve(page.store, job, after)


for _kind in TRAININGS:
    _add_pages(_kind)


def _page(page: Page, job: JobRecord) -> HTMLResponse:
    kind = TRAININGS[job.kind]
    place = f"/{job.kind.place}"
    types = (EventType.STATE, EventType.EDITED, EventType.WAITING, EventType.SUSPENDED)
    return page.render(
        "training.html",
        section="/searches",
        job=job,
        noun=job.kind.noun,
        place=place,
        progress=_progress(page.store, job),
        curves=kind.curves,
        data={"url": f"{place}/{job.id}/curve", "x": kind.curves.x, "charts": kind.curves.charts},
        facts=kind.facts(job.request),
        checkpoint=_checkpoint(page.store, job),
        candidate=_candidate(page.store, job),
        events=page.store.latest_events(job.id, types, EVENTS_SHOWN),
    )


def _checkpoint(store: Store, job: JobRecord) -> str | None:
    """The id of a meta-training's checkpoint; None before there is one, and once it is deleted."""
    try:
        return store.get_checkpoint((job.result or {}).get("checkpoint_id") or "").id
    except NotFoundError:
        return None


def _candidate(store: Store, job: JobRecord) -> Any:
    """The candidate of a final training; None for other jobs, and once its search is deleted."""
    if job.kind is not JobKind.FINAL_TRAINING or job.subject_id is None:
        return None
    try:
        return store.get_candidate(job.subject_id)
    except NotFoundError:
        return None


def _progress_part(page: Page, job: JobRecord, seen: str) -> Response:
    progress = _progress(page.store, job)
    if progress.tag == seen:
        return Response(status_code=204)
    part = page.render("training_progress.html", job=job, place=f"/{job.kind.place}", progress=progress)
    if job.state.terminal:  # the whole page shows more of the end, such as the checkpoint
        part.headers["HX-Refresh"] = "true"
    return part


def _progress(store: Store, job: JobRecord) -> Progress:
    kind = TRAININGS[job.kind]
    latest = store.latest_events(job.id, [kind.event], 1)
    now = job.finished_at or datetime.now(UTC)
    seconds = None if job.started_at is None else (now - job.started_at).total_seconds()
    return Progress(
        row=job_row(store, job),
        figures=kind.figures(job, latest[0].data if latest else None),
        seconds=seconds,
        seconds_left=_seconds_left(job, latest[0].data) if latest and not job.state.terminal else None,
    )


def _seconds_left(job: JobRecord, latest: JsonObject) -> float:
    """At the rate of the latest step. A worker that took over may be behind the furthest one."""
    done: int = latest[TRAININGS[job.kind].curves.x]
    per_step: float = latest["seconds"]
    return (job.progress_total - done) * per_step


def _curve(store: Store, job: JobRecord, after: int) -> Response:
    # The state is as it was before the points were read: once it is an end, none can be missing.
    kind = TRAININGS[job.kind]
    found = store.thinned_events(job.id, kind.event, POINTS, after_id=after)
    if rare := kind.curves.rare:  # thinned with the others, most of them would be lost
        found += store.thinned_events(job.id, kind.event, POINTS, after_id=after, having=rare)
    events = [event for _, event in sorted({event.id: event for event in found}.items())]
    keys = [kind.curves.x, *kind.curves.keys]
    points = {key: [event.data.get(key) for event in events] for key in keys}
    last = events[-1].id if events else after
    return JSONResponse({"last": last, "ended": job.state.terminal, "points": points})
