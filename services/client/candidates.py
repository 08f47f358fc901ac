"""Calls on candidates and on their final training."""

from collections.abc import Iterator
from typing import Any, Literal, TypedDict, Unpack

from services.client.connection import Connection, given, path_of
from services.lifecycle import CandidateState, JobState
from services.schemas import CandidateDetail, CandidateView, FinalTrainingView

ExportFormat = Literal["python", "safetensors", "onnx"]


class CandidateQuery(TypedDict, total=False):
    """Which candidates, in which order; None is as if left out.

    `order_by` is accuracy, loss, params, flops, seconds, number or created_at, with `-` for descending.
    """

    order_by: str | None
    state: CandidateState | str | None
    search_space: str | None
    max_params: int | None
    max_flops: int | None
    min_accuracy: float | None


class CandidateCalls(Connection):
    """Candidates: rank, retrain, export."""

    def candidates(
        self, search_id: str | None = None, *, limit: int | None = None, **query: Unpack[CandidateQuery]
    ) -> Iterator[CandidateView]:
        """Ranked architectures of a search, or of all searches; pages are fetched as they are needed."""
        path = "/v1/candidates" if search_id is None else path_of("searches", search_id, "candidates")
        return self._pages(path, CandidateView, query, limit)

    def get_candidate(self, candidate_id: str) -> CandidateDetail:
        """One candidate, with its loss curve."""
        return self._get(path_of("candidates", candidate_id), CandidateDetail)

    def retrain(self, candidate_id: str, **options: Any) -> FinalTrainingView:
        """Submit the candidate's final training on real data; `epochs=20` for instance."""
        return self._create(path_of("candidates", candidate_id, "retrain"), FinalTrainingView, given(options))

    def export(self, candidate_id: str, format: ExportFormat = "python") -> bytes:  # noqa: A002 - the API's word
        """The trained candidate as a file that runs without this package; `python` is a zip archive."""
        return self._get_bytes(path_of("candidates", candidate_id, "export"), {"format": format})

    def get_final_training(self, final_training_id: str) -> FinalTrainingView:
        """One final training."""
        return self._get(path_of("final-trainings", final_training_id), FinalTrainingView)

    def list_final_trainings(
        self, *, state: JobState | None = None, limit: int | None = None
    ) -> Iterator[FinalTrainingView]:
        """Final trainings, newest first."""
        return self._pages("/v1/final-trainings", FinalTrainingView, {"state": state}, limit)
