"""New jobs: whose they are, and what keeps one that is asked for twice from being made twice."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from services.controller.dependencies import StoreDep
from services.controller.idempotency import IdempotencyKeyHeader
from services.controller.jobs import OwnerKey
from services.lifecycle import JobKind
from services.schemas.fidelity import FidelityReportRequest
from services.schemas.requests import MetaTrainingRequest, RetrainRequest, SearchRequest
from services.store import IdempotencyKey, JobRecord, Store
from services.telemetry import current_origin

JobRequest = MetaTrainingRequest | SearchRequest | RetrainRequest | FidelityReportRequest


@dataclass(frozen=True, slots=True)
class Submission:
    """Of one job, by someone. Both methods raise IdempotencyConflictError."""

    store: Store
    owner_key: str | None
    idempotency: IdempotencyKey | None

    def search(self, request: SearchRequest) -> JobRecord:
        """Queue a search with a request that was checked."""
        return self.job(
            JobKind.SEARCH, request, total=request.max_candidates, subject_id=request.checkpoint_id
        )

    def job(
        self, kind: JobKind, request: JobRequest, *, total: int, subject_id: str | None = None
    ) -> JobRecord:
        """Queue a job with a request that was checked; its progress counts up to `total`."""
        return self.store.create_job(
            kind,
            name=request.name,
            request=request.model_dump(mode="json"),
            progress_total=total,
            subject_id=subject_id,
            priority=request.priority,
            owner_key_id=self.owner_key,
            origin=current_origin(),
            idempotency=self.idempotency,
        )


async def _submission(store: StoreDep, owner_key: OwnerKey, idempotency: IdempotencyKeyHeader) -> Submission:
    return Submission(store, owner_key, idempotency)


SubmissionDep = Annotated[Submission, Depends(_submission)]
