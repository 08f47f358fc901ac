"""A candidate on its way through a search: proposed, and with a result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count, takewhile

from nas.architecture import Architecture
from nas.estimators.base import CandidateScore


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate to evaluate. `seed` is the search's own: see `Search`."""

    number: int  # 0-based, unique in its search
    architecture: Architecture
    canonical_hash: str
    seed: int
    parents: tuple[int, ...] = ()  # numbers of the candidates it was made from, where the algorithm tells


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a candidate has no score."""

    reason: str  # "non-finite", "out of memory", "bad shape", "timed out", "worker lost" and the like
    detail: str
    rewards_at_rungs: tuple[float, ...] = ()  # what the algorithm had heard of it: see `Search.ended`


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """What became of a proposal: exactly one of score and failure is there.

    `notes` are what the record says of it beside numbers: `reused_from`, the candidate of another search
    whose score it is; `latency_device`, where latency was measured. `rung` is set while the evaluation is
    not at its end: see `MultiFidelityAlgorithm`.
    """

    proposal: Proposal
    score: CandidateScore | None = None
    failure: Failure | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    rung: int | None = None

    def __post_init__(self) -> None:
        if (self.score is None) == (self.failure is None):
            raise ValueError(f"candidate {self.proposal.number} needs either a score or a failure")


Recall = Callable[[Proposal], CandidateResult | None]
"""Finds the score that a proposal was given before, under the same conditions."""


def rung_metric(rung: int) -> str:
    """Under which name a score keeps the candidate's reward at a rung, so that a replay can tell it again."""
    return f"reward_at_rung_{rung}"


def rewards_at_rungs(result: CandidateResult) -> list[float]:
    """From the first rung to the last at which the algorithm judged the candidate."""
    if result.score is None:
        return list(result.failure.rewards_at_rungs) if result.failure else []
    metrics = takewhile(result.score.extra.__contains__, map(rung_metric, count()))
    return [result.score.extra[name] for name in metrics]
