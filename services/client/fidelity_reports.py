"""Calls on fidelity reports."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Required, TypedDict, Unpack

from services.client.calls import call, listing
from services.client.connection import Connection, path_of
from services.given import given
from services.lifecycle import JobState
from services.schemas import FidelityReportView


class FidelityReportOptions(TypedDict, total=False):
    """The body of a request; what is left out or None gets the controller's default."""

    checkpoint_id: Required[str]
    search_space: Mapping[str, Any] | None
    estimators: Sequence[Mapping[str, Any]] | None
    candidates: int | None
    labels: int | None
    population: str | None
    table: Mapping[str, Any] | None
    truth_steps: int | None
    seed: int | None
    name: str | None
    priority: int | None


class FidelityReportCalls(Connection):
    """Fidelity reports."""

    @call
    async def create_fidelity_report(self, **options: Unpack[FidelityReportOptions]) -> FidelityReportView:
        """Measure how well estimators rank, against `table={"csv": …}` or against longer real trainings."""
        return await self._create("/v1/fidelity-reports", FidelityReportView, given(**options))

    @call
    async def get_fidelity_report(self, fidelity_report_id: str) -> FidelityReportView:
        """One fidelity report."""
        return await self._get(path_of("fidelity-reports", fidelity_report_id), FidelityReportView)

    @listing
    def list_fidelity_reports(
        self, *, state: JobState | None = None, name: str | None = None, limit: int | None = None
    ) -> AsyncGenerator[FidelityReportView]:
        """Fidelity reports, newest first."""
        return self._pages("/v1/fidelity-reports", FidelityReportView, {"state": state, "name": name}, limit)
