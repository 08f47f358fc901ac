"""A candidate at `/candidates/{id}`, and up to four side by side at `/compare`."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Form, Query
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from gtn_core.errors import GtnNasError
from nas.ranking import DIRECTIONS
from services.controller.candidate_analysis import (
    cells_svg,
    cost_view,
    lineage_view,
    network_svg,
    similar_view,
)
from services.controller.exports import formats_here, latest_training
from services.controller.heavy_requests import HEAVY
from services.controller.pages.page import ACTS, PageDep, from_form, page_router
from services.controller.problems import Problem
from services.controller.rankings import latest_final_training
from services.controller.routes import candidates
from services.controller.routes.candidate_analysis import SearchOf
from services.controller.routes.candidates import Candidate
from services.controller.search_analysis import space_of
from services.controller.submission import SubmissionDep
from services.controller.views import candidate_detail, final_training_view
from services.errors import NotFoundError
from services.lifecycle import CandidateState, JobKind
from services.objectives import first_objective, scoring_conditions
from services.schemas import CandidateDetail
from services.schemas.requests import RetrainRequest
from services.store import CandidateRecord, JobRecord, Store, candidate_id

router = page_router()

MOST_COMPARED = 4
OWN_METRICS = ("accuracy", "loss", "params", "flops", "seconds")
SCORES = ("score", "accuracy", "loss")
"""The metrics that depend on how they were measured."""


@router.get("/candidates/{candidate_id}", dependencies=[HEAVY])
def get_candidate(page: PageDep, candidate: Candidate, search: SearchOf) -> HTMLResponse:
    """The page."""
    training = latest_final_training(page.store, candidate.id)
    result = latest_training(page.store, candidate)
    detail = candidate_detail(candidate, training)
    return page.render(
        "candidate.html",
        section="/searches",
        candidate=detail,
        search=search,
        objective=first_objective(search.request),
        others=_others(detail),
        training=final_training_view(training) if training else None,
        export_formats=None if result is None else formats_here(result),
        succeeded=page.store.count_by_state(search.id).get(CandidateState.SUCCEEDED, 0),
        cells=_drawing(lambda: cells_svg(search, candidate)),
        network=_drawing(lambda: network_svg(page.store, search, candidate)),
        cost=_attempt(lambda: cost_view(page.store, search, candidate)),
        lineage=_attempt(lambda: lineage_view(page.store, search, candidate)),
        neighbours=_numbered_beside(candidate, page.store),
    )


@router.get("/candidates/{candidate_id}/similar", dependencies=[HEAVY])
def get_similar(page: PageDep, candidate: Candidate, search: SearchOf) -> HTMLResponse:
    """The candidates that are most like this one; apart, since many are compared."""
    similar = similar_view(page.store, search, candidate, limit=8)
    objective = first_objective(search.request)
    return page.render("candidate_similar.html", candidate=candidate, similar=similar, objective=objective)


@router.post("/candidates/{candidate_id}/retrain", dependencies=ACTS)
def retrain(
    page: PageDep,
    candidate: Candidate,
    submission: SubmissionDep,
    epochs: Annotated[int, Form()],
) -> Response:
    """Submit a final training and go where it can be watched."""
    request = from_form(RetrainRequest, epochs=epochs)
    job = candidates.retrain_candidate(candidate, Response(), page.settings, page.store, submission, request)
    return page.redirect(f"/final-trainings/{job.id}")


@dataclass(frozen=True, slots=True)
class Compared:
    """One column of the comparison."""

    detail: CandidateDetail
    search: JobRecord
    choices: dict[str, str]
    cells: Markup | None


@router.get("/compare", dependencies=[HEAVY])
def get_comparison(
    page: PageDep,
    ids: Annotated[list[str], Query(alias="id", max_length=MOST_COMPARED)] = [],  # noqa: B006
) -> HTMLResponse:
    """Up to four candidates, of any searches."""
    wanted = list(dict.fromkeys(each.strip() for each in ids if each.strip()))
    compared, missing = [], []
    for each in wanted:
        try:
            compared.append(_compared(page.store, each))
        except NotFoundError:
            missing.append(each)
    spaces = {each.detail.architecture.space for each in compared}
    conditions = [scoring_conditions(each.search.request) for each in compared]
    comparable = all(each == conditions[0] for each in conditions)
    names = (
        list(dict.fromkeys(name for each in compared for name in each.choices)) if len(spaces) == 1 else []
    )
    return page.render(
        "compare.html",
        section="/searches",
        compared=compared,
        missing=missing,
        comparable=comparable,
        room=len(compared) < MOST_COMPARED,
        metrics=_metric_rows(compared, comparable=comparable),
        curves=[{"label": _label(each, compared), "loss": each.detail.loss_curve or []} for each in compared],
        choices=[(name, [each.choices.get(name) for each in compared]) for name in names],
    )


def _compared(store: Store, identifier: str) -> Compared:
    record = store.get_candidate(identifier)
    search = store.get_job(record.search_id, JobKind.SEARCH)
    return Compared(
        detail=candidate_detail(record, latest_final_training(store, record.id)),
        search=search,
        choices=_attempt(lambda: _choices(search, record)) or {},
        cells=_drawing(lambda: cells_svg(search, record)),
    )


def _choices(search: JobRecord, record: CandidateRecord) -> dict[str, str]:
    space = space_of(search)
    return space.choices(space.parse(record.encoding))


def _label(column: Compared, beside: list[Compared]) -> str:
    """What a candidate's curve is called: numbers are those of one search."""
    number = f"candidate {column.detail.number}"
    alone = all(each.search.id == column.search.id for each in beside)
    return number if alone else f"{number}, {column.search.name or column.search.id}"


def _metric_rows(compared: list[Compared], *, comparable: bool) -> list[dict[str, Any]]:
    """Each metric with its values, and which of them is the best, where that can be said."""
    rows = []
    score = {"score"} & {first_objective(each.search.request) for each in compared}
    for name in (*score, *OWN_METRICS, "latency_ms"):
        values = [_metric(each.detail, name) for each in compared]
        known = [value for value in values if value is not None]
        if known:
            best = max(known, key=lambda value: value * DIRECTIONS[name])
            told = len(set(known)) > 1 and (comparable or name not in SCORES)
            rows.append({"name": name, "values": values, "best": best if told else None})
    return rows


def _metric(detail: CandidateDetail, name: str) -> float | None:
    value = None if detail.metrics is None else getattr(detail.metrics, name, None)
    return value if isinstance(value, int | float) else None


def _others(detail: CandidateDetail) -> dict[str, Any]:
    """What the estimator measured beyond the metrics that all have."""
    measured = detail.metrics.model_dump() if detail.metrics else {}
    return {name: value for name, value in measured.items() if name not in OWN_METRICS}


def _numbered_beside(candidate: CandidateRecord, store: Store) -> dict[str, str]:
    """The candidates proposed before and after this one, where they are."""
    found = {}
    for name, number in (("previous", candidate.number - 1), ("next", candidate.number + 1)):
        if number >= 0 and store.encodings(candidate.search_id, [number]):
            found[name] = candidate_id(candidate.search_id, number)
    return found


def _drawing(draw: Any) -> Markup | None:
    drawn = _attempt(draw)
    return None if drawn is None else Markup(drawn)


def _attempt(make: Any) -> Any:
    """What cannot be made of an architecture, or not without PyTorch, is left out: the rest is a page."""
    try:
        return make()
    except (GtnNasError, Problem, RuntimeError, ValueError, KeyError, ModuleNotFoundError):
        return None
