"""Fidelity reports: what is asked for, and how they are shown."""

from typing import Any

from pydantic import ConfigDict, Field

from nas.fidelity_spec import FidelitySpec
from services.schemas.accuracy_tables import AccuracyTable
from services.schemas.requests import JobName, Priority


class FidelityReportRequest(FidelitySpec):
    """The body of `POST /v1/fidelity-reports`."""

    model_config = ConfigDict(
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {
                    "checkpoint_id": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "search_space": {"name": "nasbench201", "channels": 8, "cells_per_stage": 1},
                    "estimators": [{"name": "gtn", "passes": 4}, {"name": "real_data"}, {"name": "ensemble"}],
                    "candidates": 30,
                    "truth_steps": 500,
                }
            ]
        },
    )

    name: JobName = ""
    checkpoint_id: str = Field(description="the frozen checkpoint whose data and curriculum are used")
    table: AccuracyTable | None = Field(
        None, description="null: the candidates are trained on real data for `truth_steps` steps"
    )
    priority: Priority = 0

    @property
    def spec(self) -> FidelitySpec:
        """What the method itself is asked."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in FidelitySpec.model_fields}
        return FidelitySpec.model_construct(**fields)
