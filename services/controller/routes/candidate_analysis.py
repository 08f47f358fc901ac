"""What is behind a candidate: /v1/candidates/{id}/cost, lineage, similar, and its drawings."""

from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from services.controller.caching import IfNoneMatch, conditional
from services.controller.candidate_analysis import (
    cells_svg,
    cost_view,
    lineage_view,
    network_svg,
    similar_view,
)
from services.controller.dependencies import StoreDep
from services.controller.heavy_requests import HEAVY
from services.controller.problems import NOT_FOUND, Problem
from services.controller.routes.candidates import Candidate
from services.controller.security import READS
from services.lifecycle import JobKind
from services.schemas.analysis import CandidateCost, Lineage, Similar
from services.store import JobRecord

router = APIRouter(prefix="/v1/candidates/{candidate_id}", tags=["candidates"], dependencies=[READS, HEAVY])

SVG = "image/svg+xml"
_PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {SVG: {"schema": {"type": "string"}}}}}


def _search(candidate: Candidate, store: StoreDep) -> JobRecord:
    return store.get_job(candidate.search_id, JobKind.SEARCH)


SearchOf = Annotated[JobRecord, Depends(_search)]


@router.get("/cost", summary="Get parameters and FLOPs by part of the network")
def get_candidate_cost(candidate: Candidate, search: SearchOf, store: StoreDep) -> CandidateCost:
    """Read from the network's structure, on images of the search's data set."""
    return cost_view(store, search, candidate)


@router.get("/lineage", summary="Get what a candidate was made from, and what was made from it")
def get_lineage(candidate: Candidate, search: SearchOf, store: StoreDep) -> Lineage:
    """The line of first parents, with the choices that changed at each step; and children."""
    return lineage_view(store, search, candidate)


@router.get("/similar", summary="Get the most similar candidates of the same search")
def get_similar(
    candidate: Candidate,
    search: SearchOf,
    store: StoreDep,
    limit: Annotated[int, Query(ge=1, le=50)] = 8,
) -> Similar:
    """By the number of choices in which they differ; the better ones first."""
    return similar_view(store, search, candidate, limit=limit)


@router.get("/cells.svg", response_class=Response, responses=_PICTURE, summary="Get a drawing of the cells")
def get_cells(candidate: Candidate, search: SearchOf, if_none_match: IfNoneMatch = None) -> Response:
    """Every node of every cell, with the operations that lead to it; what has no effect is dashed."""
    drawing = cells_svg(search, candidate)
    if drawing is None:
        raise Problem(NOT_FOUND, f"search space {candidate.space} does not draw its architectures")
    return _picture(drawing, if_none_match)


@router.get(
    "/network.svg", response_class=Response, responses=_PICTURE, summary="Get a drawing of the whole network"
)
def get_network(
    candidate: Candidate, search: SearchOf, store: StoreDep, if_none_match: IfNoneMatch = None
) -> Response:
    """From the image to the logits; boxes as large as what comes out of them."""
    return _picture(network_svg(store, search, candidate), if_none_match)


def _picture(drawing: str, if_none_match: str | None) -> Response:
    content = drawing.encode()
    return conditional(sha256(content).hexdigest()[:32], if_none_match, lambda: content, media_type=SVG)
