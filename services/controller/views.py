"""From the store's records to the API's answers."""

from collections.abc import Callable
from typing import Any, TypeVar

from gtn_core import CheckpointError, FrozenCheckpoint
from gtn_core.pictures import film_layout
from services.controller.shipped_checkpoints import shipped_ids
from services.schemas import (
    ArchitectureView,
    CandidateDetail,
    CandidateFailure,
    CandidateMetrics,
    CandidateView,
    CheckpointView,
    EventView,
    FailureSummary,
    FidelityReportView,
    FidelitySummary,
    FinalTrainingSummary,
    FinalTrainingView,
    MetaTrainingView,
    Page,
    ProblemDetails,
    Progress,
    SearchView,
)
from services.schemas.analysis import CurriculumView, Frames
from services.store import CandidateRecord, CheckpointRecord, EventRecord, JobRecord, candidate_id
from services.store import Page as RecordPage

Record = TypeVar("Record")
View = TypeVar("View")


def page_view(page: RecordPage[Record], view: Callable[[Record], View]) -> Page[View]:
    """A page of records as a page of views."""
    return Page(items=[view(record) for record in page.items], next_cursor=page.next_cursor)


def meta_training_view(job: JobRecord) -> MetaTrainingView:
    """A meta-training run."""
    checkpoint_id = (job.result or {}).get("checkpoint_id")
    return MetaTrainingView(**_shared(job), checkpoint_id=checkpoint_id, result=job.result)


def search_view(
    job: JobRecord, best: CandidateView | None = None, failures: list[FailureSummary] | None = None
) -> SearchView:
    """A search, with what the caller has looked up of its candidates."""
    return SearchView(
        **_shared(job),
        checkpoint_id=job.subject_id or "",
        best=best,
        failures=failures,
        result=job.result,
    )


def final_training_view(job: JobRecord) -> FinalTrainingView:
    """A final training."""
    return FinalTrainingView(
        **_shared(job), candidate_id=job.subject_id or "", **_accuracies(job), result=job.result
    )


def fidelity_report_view(job: JobRecord) -> FidelityReportView:
    """A fidelity report."""
    return FidelityReportView(**_shared(job), checkpoint_id=job.subject_id or "", report=job.result)


def candidate_view(record: CandidateRecord, final_training: JobRecord | None = None) -> CandidateView:
    """A candidate as lists show it."""
    return CandidateView(**_candidate(record, final_training))


def candidate_detail(record: CandidateRecord, final_training: JobRecord | None = None) -> CandidateDetail:
    """A candidate with its loss curve."""
    return CandidateDetail(**_candidate(record, final_training), loss_curve=record.loss_curve)


def checkpoint_view(record: CheckpointRecord, fidelity: JobRecord | None = None) -> CheckpointView:
    """A frozen checkpoint, with its latest fidelity report."""
    summary = None
    if fidelity is not None:
        measured = (fidelity.result or {}).get("estimators", [])
        spearman = {each["estimator"]: each["spearman"]["value"] for each in measured}
        summary = FidelitySummary(id=fidelity.id, state=fidelity.state, spearman=spearman)
    return CheckpointView(
        id=record.id,
        name=record.name,
        shipped=record.id in shipped_ids(),
        size_bytes=record.size_bytes,
        manifest=record.manifest,
        created_at=record.created_at,
        fidelity_report=summary,
    )


def curriculum_view(checkpoint: FrozenCheckpoint) -> CurriculumView:
    """What was learned beside the images, and where on a film these are."""
    learning_rates, momenta = checkpoint.schedule()
    config = checkpoint.manifest.config
    return CurriculumView(
        inner_steps=config.inner_steps,
        batch_size=config.batch_size,
        inner_optimizer=config.inner_optimizer,
        learning_rates=learning_rates,
        momenta=momenta,
        frames=_frames(checkpoint),
    )


def _frames(checkpoint: FrozenCheckpoint) -> Frames | None:
    try:
        layout = film_layout(checkpoint.manifest)
    except CheckpointError:
        return None
    return Frames.model_validate(layout, from_attributes=True)


def event_view(record: EventRecord) -> EventView:
    """An event."""
    return EventView(id=record.id, type=record.type, data=record.data, created_at=record.created_at)


def _shared(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "progress": Progress(done=job.progress_done, total=job.progress_total),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "error": None if job.error is None else ProblemDetails.model_validate(job.error),
        "request": job.request,
        "priority": job.priority,
        "waiting_for": job.waiting_for,
    }


def _accuracies(job: JobRecord) -> dict[str, float | None]:
    result = job.result or {}
    return {name: result.get(name) for name in ("test_accuracy", "validation_accuracy")}


def _candidate(record: CandidateRecord, final_training: JobRecord | None) -> dict[str, Any]:
    summary = None
    if final_training is not None:
        summary = FinalTrainingSummary(
            id=final_training.id, state=final_training.state, **_accuracies(final_training)
        )
    return {
        "id": record.id,
        "search_id": record.search_id,
        "number": record.number,
        "rank": record.rank,
        "state": record.state,
        "architecture": ArchitectureView(space=record.space, encoding=record.encoding),
        "canonical_hash": record.canonical_hash,
        "seed": record.seed,
        "metrics": None if record.metrics is None else CandidateMetrics.model_validate(record.metrics),
        "error": None if record.error is None else CandidateFailure.model_validate(record.error),
        "final_training": summary,
        "parents": [candidate_id(record.search_id, number) for number in record.parents],
        "created_at": record.created_at,
        "finished_at": record.finished_at,
    }
