"""Request and response types of the HTTP API, apart from the tables of the store.

The types of answers are exported here. Those of requests are in `services.schemas.requests`: they hold the
method's own configuration, whose import a client need not wait for.
"""

from services.schemas.candidates import (
    ArchitectureView,
    CandidateDetail,
    CandidateFailure,
    CandidateMetrics,
    CandidateView,
    FailureSummary,
    FinalTrainingSummary,
)
from services.schemas.checkpoints import CheckpointView, FidelitySummary
from services.schemas.jobs import (
    CostEstimate,
    FidelityReportView,
    FinalTrainingView,
    MetaTrainingView,
    SearchPlan,
    SearchView,
)
from services.schemas.problems import FieldProblem, ProblemDetails
from services.schemas.resources import EventView, JobView, Page, Progress
from services.schemas.system import (
    Capacity,
    CatalogueEntry,
    ClusterView,
    Health,
    NodeView,
    Readiness,
    ReadinessCheck,
    RunningSearch,
)

__all__ = [
    "ArchitectureView",
    "CandidateDetail",
    "CandidateFailure",
    "CandidateMetrics",
    "CandidateView",
    "Capacity",
    "CatalogueEntry",
    "CheckpointView",
    "ClusterView",
    "CostEstimate",
    "EventView",
    "FailureSummary",
    "FidelityReportView",
    "FidelitySummary",
    "FieldProblem",
    "FinalTrainingSummary",
    "FinalTrainingView",
    "Health",
    "JobView",
    "MetaTrainingView",
    "NodeView",
    "Page",
    "ProblemDetails",
    "Progress",
    "Readiness",
    "ReadinessCheck",
    "RunningSearch",
    "SearchPlan",
    "SearchView",
]
