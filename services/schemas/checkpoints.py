"""Frozen GTN checkpoints, addressed by the sha256 of their content."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class CheckpointView(BaseModel):
    """A frozen checkpoint that is stored here."""

    id: str = Field(description="sha256 of the file", examples=["9f86d081884c7d659a2feaa0c55ad015…"])
    size_bytes: int
    manifest: dict[str, Any] = Field(description="configuration, data set, fingerprint, metrics, versions")
    created_at: datetime
