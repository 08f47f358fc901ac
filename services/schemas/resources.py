"""What every resource of the API shares: state, progress, pages, events."""

from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, Field

from services.lifecycle import JobKind, JobState
from services.schemas.problems import ProblemDetails

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next_cursor` is opaque and null on the last page."""

    items: list[Item]
    next_cursor: str | None = None


class Progress(BaseModel):
    """How far a job is, in its own unit: meta steps, candidates, epochs or evaluations."""

    done: int = Field(ge=0)
    total: int = Field(ge=0)


class JobView(BaseModel):
    """Long work: queued, claimed by a worker, and ended in one of three ways."""

    kind: ClassVar[JobKind]
    id: str
    name: str
    state: JobState
    progress: Progress
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: ProblemDetails | None = Field(description="why the job failed")
    request: dict[str, Any] = Field(description="the request as submitted, with the defaults filled in")
    priority: int = Field(0, description="higher starts first")
    waiting_for: str | None = Field(None, description="why a job does not get on, such as a GPU")
    last_event_id: int | None = Field(
        None, description="of its newest event, those after it are news; only where a job itself is got"
    )


class EventView(BaseModel):
    """One entry of a job's append-only record; ids grow with time."""

    id: int
    type: str = Field(examples=["state", "candidate"])
    data: dict[str, Any]
    created_at: datetime
