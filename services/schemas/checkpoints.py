"""Frozen GTN checkpoints, addressed by the sha256 of their content."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from gtn_core.errors import DIVERGED_AT
from services.lifecycle import JobState


class FidelitySummary(BaseModel):
    """The latest fidelity report that was asked for with a checkpoint."""

    id: str
    state: JobState
    spearman: dict[str, float | None] = Field(description="by estimator, once the report is there")


class CheckpointView(BaseModel):
    """A frozen checkpoint that is stored here."""

    id: str = Field(description="sha256 of the file", examples=["9f86d081884c7d659a2feaa0c55ad015…"])
    name: str | None = Field(
        None, description="for people; need not be unique, and commands take it for the newest that has it"
    )
    shipped: bool = Field(False, description="whether it comes with the package")
    size_bytes: int
    manifest: dict[str, Any] = Field(description="configuration, data set, fingerprint, metrics, versions")
    created_at: datetime
    fidelity_report: FidelitySummary | None = Field(None, description="null where none was asked for")


def latest(checkpoints: Iterable[CheckpointView]) -> CheckpointView | None:
    """What a search begins with where nobody chooses, of checkpoints that come newest first.

    The newest that was made or uploaded here; where there is none, one that comes with the package; at last
    what a meta-training that diverged had learned.
    """
    return min(
        checkpoints, key=lambda each: (DIVERGED_AT in each.manifest["metrics"], each.shipped), default=None
    )
