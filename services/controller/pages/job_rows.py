"""Jobs of every kind as rows of one table: what each is called, where it leads, and what came of it."""

from dataclasses import dataclass
from datetime import datetime

from services.controller.rankings import best_candidate
from services.dashboard import formats, metrics
from services.lifecycle import JobKind, JobState
from services.objectives import first_objective
from services.schemas import ProblemDetails
from services.store import JobRecord, Store


@dataclass(frozen=True, slots=True)
class Outcome:
    """The number that a job is about, and the API call that gives it."""

    label: str
    text: str
    api: str


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job."""

    id: str
    kind: str  # "search"
    name: str
    about: str  # "nasbench201 · regularized_evolution"
    page: str
    api: str
    state: JobState
    done: int
    total: int
    unit: str  # "candidates"
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    outcome: Outcome | None
    waiting_for: str | None
    error: ProblemDetails | None

    @property
    def seconds(self) -> float | None:
        """From start to end; None while it has not ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


UNITS = {
    JobKind.SEARCH: "candidates",
    JobKind.META_TRAINING: "meta steps",
    JobKind.FINAL_TRAINING: "epochs",
    JobKind.FIDELITY_REPORT: "scores",
}
"""Of progress."""


def job_row(store: Store, job: JobRecord) -> JobRow:
    """The job as a row."""
    kind, page = job.kind.noun, f"/{job.kind.place}/{job.id}"
    return JobRow(
        id=job.id,
        kind=kind,
        name=job.name or f"{kind} {job.id}",
        about=_about(job),
        page=page,
        api=f"/v1{page}",
        state=job.state,
        done=job.progress_done,
        total=job.progress_total,
        unit=UNITS[job.kind],
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        outcome=_outcome(store, job, f"/v1{page}"),
        waiting_for=job.waiting_for,
        error=None if job.error is None else ProblemDetails.model_validate(job.error),
    )


def _about(job: JobRecord) -> str:
    request = job.request
    match job.kind:
        case JobKind.SEARCH:
            parts = ("search_space", "algorithm", "estimator")
            return " · ".join(request[part]["name"] for part in parts)
        case JobKind.META_TRAINING:
            config = request["config"]
            return f"{request['dataset']['name']} · {config['inner_steps']} inner steps"
        case JobKind.FINAL_TRAINING:
            return f"candidate {job.subject_id} · {request['epochs']} epochs"
        case JobKind.FIDELITY_REPORT:
            names = ", ".join(each["name"] for each in request["estimators"])
            return f"{request['search_space']['name']} · {names}"


def _outcome(store: Store, job: JobRecord, api: str) -> Outcome | None:
    result = job.result or {}
    match job.kind:
        case JobKind.SEARCH:
            best = best_candidate(store, job) if job.progress_done else None
            if best is None:
                return None
            objective = first_objective(job.request)
            value = metrics.measured(best.metrics, objective)
            return Outcome(f"best {metrics.metric_name(objective)}", value, f"/v1/candidates/{best.id}")
        case JobKind.META_TRAINING if "validation_accuracy" in result:
            return Outcome("validation accuracy", formats.percent(result["validation_accuracy"]), api)
        case JobKind.FINAL_TRAINING if "test_accuracy" in result:
            return Outcome("test accuracy", formats.percent(result["test_accuracy"]), api)
        case JobKind.FIDELITY_REPORT if result.get("estimators"):
            first = result["estimators"][0]
            rho = first["spearman"]["value"]
            return Outcome(f"Spearman ρ of {first['estimator']}", formats.decimal(rho), api)
        case _:
            return None
