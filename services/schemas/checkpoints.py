"""Frozen GTN checkpoints, addressed by the sha256 of their content."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

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
