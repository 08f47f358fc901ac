"""Candidates between the search and its record: metrics are numbers, notes are the text among them."""

from nas.architecture import Architecture
from nas.candidates import CandidateResult, Failure, Proposal
from nas.estimators.base import CandidateScore
from services.store import CandidateRecord, JsonObject
from services.store.json_values import storable

MAX_REASON, MAX_DETAIL = 100, 4000
"""Characters of a failure that are kept: a plugin may say anything, and reasons are counted by name."""


def stored_metrics(result: CandidateResult) -> JsonObject | None:
    """What the record keeps of a score and its notes."""
    score = result.score
    if score is None:
        return None
    return {
        **score.extra,
        **result.notes,
        "accuracy": score.accuracy,
        "loss": score.loss,
        "params": score.params,
        "flops": score.flops,
        "seconds": score.seconds,
    }


def stored_error(result: CandidateResult) -> JsonObject | None:
    """What the record keeps of a failure."""
    failure = result.failure
    if failure is None:
        return None
    reason = " ".join(failure.reason.split())[:MAX_REASON]
    error: JsonObject = {"reason": storable(reason), "detail": storable(failure.detail[:MAX_DETAIL])}
    if failure.rewards_at_rungs:
        error["rewards_at_rungs"] = list(failure.rewards_at_rungs)
    return error


def stored_proposal(record: CandidateRecord) -> Proposal:
    """The proposal that a record began with."""
    architecture = Architecture(record.space, record.encoding)
    return Proposal(record.number, architecture, record.canonical_hash, record.seed, record.parents)


def stored_result(record: CandidateRecord) -> CandidateResult:
    """The result that a record ended with."""
    if record.metrics is None:
        error = record.error or {}
        heard = tuple(error.get("rewards_at_rungs", ()))
        failure = Failure(error.get("reason", "error"), error.get("detail", ""), heard)
        return CandidateResult(stored_proposal(record), failure=failure)
    notes = {name: value for name, value in record.metrics.items() if isinstance(value, str)}
    extra = {name: value for name, value in record.metrics.items() if name not in notes}
    score = CandidateScore(
        accuracy=extra.pop("accuracy"),
        loss=extra.pop("loss"),
        params=extra.pop("params"),
        flops=extra.pop("flops"),
        seconds=extra.pop("seconds"),
        loss_curve=tuple(record.loss_curve or ()),
        extra=extra,
    )
    return CandidateResult(stored_proposal(record), score=score, notes=notes)
