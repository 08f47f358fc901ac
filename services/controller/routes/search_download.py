"""All candidates of a search as one file: /v1/searches/{id}/download."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from services.controller.dependencies import StoreDep
from services.controller.heavy_requests import ByParts
from services.controller.jobs import Search
from services.controller.queries import CandidateSelection
from services.controller.rankings import candidate_views
from services.controller.security import READS
from services.schemas import CandidateView
from services.store import METRIC_COLUMNS, Store

router = APIRouter(prefix="/v1/searches/{search_id}", tags=["searches"], dependencies=[READS])

AT_A_TIME = 1000
DownloadFormat = Literal["csv", "json"]
_TEXT = {"type": "string"}


class DownloadQuery(CandidateSelection):
    """Which candidates, in which order and format."""

    format: DownloadFormat = "csv"


@router.get(
    "/download",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "csv: a header and a row for each candidate; json: an array of candidates",
            "content": {"text/csv": {"schema": _TEXT}, "application/json": {"schema": {"type": "array"}}},
        }
    },
    summary="Download the candidates of a search",
)
def download_candidates(
    job: Search, query: Annotated[DownloadQuery, Query()], store: StoreDep, by_parts: ByParts
) -> StreamingResponse:
    """All candidates that the selection holds, in its order; sent as they are read."""
    rows = _candidates(store, job.id, query)
    content, media_type = (
        (_csv(rows), "text/csv; charset=utf-8")
        if query.format == "csv"
        else (_json(rows), "application/json")
    )
    file_name = f"{job.id}-candidates.{query.format}"
    return StreamingResponse(
        by_parts(content),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )


def _candidates(store: Store, search_id: str, query: DownloadQuery) -> Iterator[list[CandidateView]]:
    cursor = None
    while True:
        page = store.list_candidates(
            query.filter(search_id), order_by=query.order_by, limit=AT_A_TIME, cursor=cursor
        )
        yield candidate_views(store, page.items)
        if (cursor := page.next_cursor) is None:
            return


_HEADER = (
    "id", "number", "rank", "state", *METRIC_COLUMNS, "test_accuracy", "parents", "space", "encoding",
    "error", "created_at", "finished_at", "other_metrics",
)  # fmt: skip


def _csv(pages: Iterator[list[CandidateView]]) -> Iterator[str]:
    yield _lines([_HEADER])
    for page in pages:
        yield _lines([_row(candidate) for candidate in page])


def _row(candidate: CandidateView) -> tuple[Any, ...]:
    metrics = candidate.metrics.model_dump() if candidate.metrics else {}
    others = {name: value for name, value in metrics.items() if name not in METRIC_COLUMNS}
    return (
        candidate.id,
        candidate.number,
        candidate.rank,
        candidate.state.value,
        *(metrics.get(name) for name in METRIC_COLUMNS),
        candidate.final_training.test_accuracy if candidate.final_training else None,
        " ".join(candidate.parents),
        candidate.architecture.space,
        _inert(candidate.architecture.encoding),
        _inert(candidate.error.reason if candidate.error else ""),
        candidate.created_at.isoformat(),
        candidate.finished_at.isoformat() if candidate.finished_at else None,
        json.dumps(others) if others else None,
    )


def _inert(text: str) -> str:
    """Spreadsheets run what begins like a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _lines(rows: list[tuple[Any, ...]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue()


def _json(pages: Iterator[list[CandidateView]]) -> Iterator[str]:
    before = "["
    for page in pages:
        if page:  # as one part: each is handed from a thread to the loop
            yield before + ",\n".join(candidate.model_dump_json() for candidate in page)
            before = ",\n"
    yield "]\n" if before != "[" else "[]\n"
