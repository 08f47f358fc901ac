"""What lists can be asked for. A parameter that does not exist is refused instead of ignored."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import ConfigDict, Field

from gtn_core.strict_model import StrictModel
from services.lifecycle import CandidateState, JobState
from services.store import Bounds, CandidateFilter
from services.visible import NO_CONTROLS

MAX_PAGE = 500
MAX_INTEGER = 2**63 - 1

CandidateOrder = Literal[
    "accuracy", "-accuracy", "loss", "-loss", "params", "-params", "flops", "-flops",
    "seconds", "-seconds", "number", "-number", "created_at", "-created_at",
]  # fmt: skip


OrderInSearch = Literal[CandidateOrder, "rank", "-rank"]


class PageQuery(StrictModel):
    """Which stretch of a list."""

    limit: int = Field(50, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=1000, description="`next_cursor` of the page before")


class JobQuery(PageQuery):
    """Which jobs; newest first."""

    state: JobState | None = None
    name: str | None = Field(
        None,
        max_length=200,
        pattern=NO_CONTROLS,
        description="a part of the job's name, with a to z in either case",
    )


class CandidateSelection(StrictModel):
    """Which candidates, in which order. Only those that have a metric are within bounds of it."""

    model_config = ConfigDict(allow_inf_nan=False)

    order_by: OrderInSearch = Field(
        "rank", description="a minus is for descending; rank: by what the search works for, best first"
    )
    state: CandidateState | None = None
    max_params: int | None = Field(None, ge=0)
    max_flops: int | None = Field(None, ge=0)
    min_accuracy: float | None = Field(None, ge=0, le=1)
    max_accuracy: float | None = Field(None, ge=0, le=1)
    min_params: int | None = Field(None, ge=0, le=MAX_INTEGER)
    min_flops: int | None = Field(None, ge=0, le=MAX_INTEGER)
    min_loss: float | None = None
    max_loss: float | None = None
    min_seconds: float | None = Field(None, ge=0)
    max_seconds: float | None = Field(None, ge=0)
    min_score: float | None = Field(None, description="where a search works for its estimator's score")
    max_score: float | None = None
    min_latency_ms: float | None = Field(None, ge=0, description="where a search measures latency")
    max_latency_ms: float | None = Field(None, ge=0)

    def filter(self, search_id: str | None = None, search_space: str | None = None) -> CandidateFilter:
        """As the store takes it."""
        bounds = (
            Bounds("accuracy", self.min_accuracy, self.max_accuracy),
            Bounds("params", self.min_params, self.max_params),
            Bounds("flops", self.min_flops, self.max_flops),
            Bounds("loss", self.min_loss, self.max_loss),
            Bounds("seconds", self.min_seconds, self.max_seconds),
            Bounds("score", self.min_score, self.max_score),
            Bounds("latency_ms", self.min_latency_ms, self.max_latency_ms),
        )
        asked = tuple(each for each in bounds if each.low is not None or each.high is not None)
        return CandidateFilter(search_id, self.state, search_space, asked)


class SearchCandidateQuery(PageQuery, CandidateSelection):
    """A page of the candidates of a search."""


class CandidateQuery(SearchCandidateQuery):
    """Which candidates of all searches, in which order."""

    # Ranks of different searches do not compare.
    order_by: CandidateOrder = Field("-accuracy", description="a minus is for descending")
    search_space: str | None = Field(None, max_length=200)


PageParameters = Annotated[PageQuery, Query()]
JobParameters = Annotated[JobQuery, Query()]
SearchCandidateParameters = Annotated[SearchCandidateQuery, Query()]
CandidateParameters = Annotated[CandidateQuery, Query()]
