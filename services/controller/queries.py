"""What lists can be asked for. A parameter that does not exist is refused instead of ignored."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from services.lifecycle import CandidateState, JobState
from services.store import CandidateFilter

MAX_PAGE = 500

CandidateOrder = Literal[
    "accuracy", "-accuracy", "loss", "-loss", "params", "-params", "flops", "-flops",
    "seconds", "-seconds", "number", "-number", "created_at", "-created_at",
]  # fmt: skip


class PageQuery(BaseModel):
    """Which stretch of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=1000, description="`next_cursor` of the page before")


class JobQuery(PageQuery):
    """Which jobs; newest first."""

    state: JobState | None = None


class SearchCandidateQuery(PageQuery):
    """Which candidates of a search, in which order."""

    order_by: CandidateOrder = Field("-accuracy", description="a minus is for descending")
    state: CandidateState | None = None
    max_params: int | None = Field(None, ge=0)
    max_flops: int | None = Field(None, ge=0)
    min_accuracy: float | None = Field(None, ge=0, le=1)

    def filter(self, search_id: str | None = None, search_space: str | None = None) -> CandidateFilter:
        """As the store takes it."""
        return CandidateFilter(
            search_id, self.state, search_space, self.max_params, self.max_flops, self.min_accuracy
        )


class CandidateQuery(SearchCandidateQuery):
    """Which candidates of all searches, in which order."""

    search_space: str | None = Field(None, max_length=200)


PageParameters = Annotated[PageQuery, Query()]
JobParameters = Annotated[JobQuery, Query()]
SearchCandidateParameters = Annotated[SearchCandidateQuery, Query()]
CandidateParameters = Annotated[CandidateQuery, Query()]
