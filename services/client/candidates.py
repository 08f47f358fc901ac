"""Calls on candidates and on their final training."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypedDict, Unpack

from services.client.calls import call, listing
from services.client.connection import Connection, path_of
from services.export_formats import ExportFormat
from services.given import given
from services.lifecycle import CandidateState, JobState
from services.schemas import CandidateDetail, CandidateView, FinalTrainingView


class CandidateQuery(TypedDict, total=False):
    """Which candidates, in which order; None is as if left out.

    `order_by` is accuracy, loss, params, flops, seconds, number or created_at, with `-` for descending; of
    one search also rank, which is how its candidates come unless told otherwise.
    """

    order_by: str | None
    state: CandidateState | str | None
    search_space: str | None
    min_accuracy: float | None
    max_accuracy: float | None
    min_loss: float | None
    max_loss: float | None
    min_params: int | None
    max_params: int | None
    min_flops: int | None
    max_flops: int | None
    min_seconds: float | None
    max_seconds: float | None
    min_score: float | None
    max_score: float | None
    min_latency_ms: float | None
    max_latency_ms: float | None


class RetrainOptions(TypedDict, total=False):
    """The body of a final training's request; what is left out or None gets the controller's default."""

    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    momentum: float | None
    weight_decay: float | None
    label_smoothing: float | None
    cutout: int | None
    drop_path: float | None
    auxiliary_weight: float | None
    space_options: Mapping[str, Any] | None
    augment: str | None
    seed: int | None
    name: str | None
    priority: int | None


class CandidateCalls(Connection):
    """Candidates: rank, retrain, export."""

    @listing
    def candidates(
        self, search_id: str | None = None, *, limit: int | None = None, **query: Unpack[CandidateQuery]
    ) -> AsyncGenerator[CandidateView]:
        """Ranked architectures of a search, or of all searches; pages are fetched as they are needed."""
        path = "/v1/candidates" if search_id is None else path_of("searches", search_id, "candidates")
        return self._pages(path, CandidateView, query, limit)

    @call
    async def get_candidate(self, candidate_id: str) -> CandidateDetail:
        """One candidate, with its loss curve."""
        return await self._get(path_of("candidates", candidate_id), CandidateDetail)

    @call
    async def retrain(self, candidate_id: str, **options: Unpack[RetrainOptions]) -> FinalTrainingView:
        """Submit the candidate's final training on real data; `epochs=20` for instance."""
        return await self._create(
            path_of("candidates", candidate_id, "retrain"), FinalTrainingView, given(**options)
        )

    @call
    async def export(self, candidate_id: str, format: ExportFormat = "python") -> bytes:  # noqa: A002 - the API's word
        """The trained candidate as a file that runs without this package; `python` is a zip archive."""
        return await self._get_bytes(path_of("candidates", candidate_id, "export"), {"format": format})

    @call
    async def get_final_training(self, final_training_id: str) -> FinalTrainingView:
        """One final training."""
        return await self._get(path_of("final-trainings", final_training_id), FinalTrainingView)

    @listing
    def list_final_trainings(
        self, *, state: JobState | None = None, name: str | None = None, limit: int | None = None
    ) -> AsyncGenerator[FinalTrainingView]:
        """Final trainings, newest first."""
        return self._pages("/v1/final-trainings", FinalTrainingView, {"state": state, "name": name}, limit)
