"""The kinds of long work as the API shows them."""

from typing import Any

from pydantic import BaseModel, Field

from services.lifecycle import JobKind
from services.schemas.candidates import CandidateView, FailureSummary
from services.schemas.resources import JobView


class MetaTrainingView(JobView):
    """A meta-training run; its product is a frozen checkpoint."""

    kind = JobKind.META_TRAINING
    checkpoint_id: str | None = Field(
        description="the frozen checkpoint, once the run has succeeded; of one that diverged, what it had "
        "learned until then"
    )
    result: dict[str, Any] | None = Field(description="what the run measured")


class SearchView(JobView):
    """An architecture search over one frozen checkpoint."""

    kind = JobKind.SEARCH
    checkpoint_id: str
    best: CandidateView | None = Field(
        description="the best candidate so far by the first objective; lists leave it out"
    )
    failures: list[FailureSummary] | None = Field(
        None, description="the 20 most frequent reasons why candidates failed; lists leave it out"
    )
    result: dict[str, Any] | None


class FinalTrainingView(JobView):
    """Training of one candidate on real data; the test split is opened once, at its end."""

    kind = JobKind.FINAL_TRAINING
    candidate_id: str
    test_accuracy: float | None
    validation_accuracy: float | None
    result: dict[str, Any] | None = Field(description="accuracies, history and the digest of the weights")


class FidelityReportView(JobView):
    """How well estimators rank architectures of known accuracy, with the data of one checkpoint."""

    kind = JobKind.FIDELITY_REPORT
    checkpoint_id: str
    report: dict[str, Any] | None = Field(
        description="rank correlations with intervals by estimator, and every candidate's scores"
    )


class CostEstimate(BaseModel):
    """What a search would cost, judged by the candidates that were scored on its space and checkpoint."""

    candidates: int
    seconds_per_candidate: float = Field(description="median of the evaluations it is judged by")
    evaluation_seconds: float = Field(description="summed over candidates, before any parallelism")
    based_on: int = Field(description="number of evaluations it is judged by")


class SearchPlan(BaseModel):
    """The answer to `validate_only=true`: the request is good, and this is what it says in full."""

    request: dict[str, Any] = Field(description="the request with the defaults filled in")
    estimate: CostEstimate | None = Field(description="null while nothing comparable was evaluated")
