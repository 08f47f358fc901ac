"""Candidates: architectures that a search proposed, with what was measured."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from services.lifecycle import CandidateState, JobState


class ArchitectureView(BaseModel):
    """An architecture in its search space's own notation."""

    space: str = Field(examples=["nasbench201"])
    encoding: str = Field(
        examples=["|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"]
    )

    def __str__(self) -> str:
        return f"{self.space}:{self.encoding}"


class CandidateMetrics(BaseModel):
    """The proxy score and the cost; fields beyond these are the estimator's own readouts."""

    model_config = ConfigDict(extra="allow")

    accuracy: float = Field(description="proxy score: accuracy on validation data, in [0, 1]")
    loss: float = Field(description="cross entropy on validation data, in nats")
    params: int = Field(description="trainable parameters")
    flops: int = Field(description="floating point operations of one image's forward pass")
    seconds: float = Field(description="time the evaluation took")


class CandidateFailure(BaseModel):
    """Why a candidate has no score."""

    model_config = ConfigDict(extra="allow")

    reason: str = Field(default="error", examples=["out of memory"])
    detail: str = ""


class FailureSummary(BaseModel):
    """How many candidates of a search failed for one reason."""

    reason: str = Field(examples=["out of memory"])
    count: int
    first: str = Field(description="id of the first candidate that failed so")
    detail: str = Field(description="what went wrong with that one")


class FinalTrainingSummary(BaseModel):
    """The candidate's latest final training: true accuracies, apart from the proxy score."""

    id: str
    state: JobState
    test_accuracy: float | None = Field(description="accuracy on test data, once training has succeeded")
    validation_accuracy: float | None


class CandidateView(BaseModel):
    """A candidate and its place among the succeeded ones of its search (1 is the best reward)."""

    id: str = Field(description="search id and number, joined by a dash")
    search_id: str
    number: int = Field(description="0-based, in order of proposal")
    rank: int | None
    state: CandidateState
    architecture: ArchitectureView
    canonical_hash: str = Field(description="equal for architectures that compute the same function family")
    seed: int
    metrics: CandidateMetrics | None
    error: CandidateFailure | None
    final_training: FinalTrainingSummary | None = None
    parents: list[str] = Field([], description="ids of the candidates it was made from, if that was told")
    created_at: datetime
    finished_at: datetime | None


class CandidateDetail(CandidateView):
    """A candidate with the record of its brief training."""

    loss_curve: list[float | None] | None = Field(description="training loss before each inner step")
