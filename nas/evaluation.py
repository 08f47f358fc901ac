"""One candidate's evaluation: what must be measured before any training, then the score, rung by rung."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.candidates import CandidateResult, Failure, Proposal, rung_metric
from nas.estimators.base import (
    CandidateFailed,
    CandidateScore,
    Estimator,
    EstimatorData,
    MultiFidelityEstimator,
)
from nas.estimators.failures import failure_of
from nas.estimators.plain_score import plain_score
from nas.latency import device_name, latency_ms
from nas.ranking import reward
from nas.search_spaces.base import ImageShape, SearchSpace
from nas.search_spec import SearchSpec
from nas.slot import release_memory

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class EvaluationPlan:
    """What all candidates of a search are evaluated with; small, and sent to every worker."""

    spec: SearchSpec
    shares: tuple[float, ...]  # of the training, after which a candidate is judged; the last is 1
    image_shape: ImageShape
    num_classes: int


def evaluate(
    space: SearchSpace,
    estimator: Estimator,
    proposal: Proposal,
    plan: EvaluationPlan,
    device: "str | torch.device" = "cpu",
) -> Iterator[CandidateResult]:
    """Results at every rung; the last has no `rung` and is final. A single one unless there are rungs.

    Whatever the evaluation raises becomes the candidate's failure. Raises WorkerUnusable when it was no fault
    of the candidate: the device of this process answers no more.
    """
    try:
        yield from _results(space, estimator, proposal, plan, device)
    except Exception as error:  # a candidate's fault must not end the search
        failed = failure_of(error)
    else:
        return
    # Out here nothing refers to the candidate's tensors any more.
    if failed.reason == "out of memory":
        release_memory(str(device))
    yield CandidateResult(proposal, failure=Failure(failed.reason, failed.detail))


def _results(
    space: SearchSpace,
    estimator: Estimator,
    proposal: Proposal,
    plan: EvaluationPlan,
    device: "str | torch.device",
) -> Iterator[CandidateResult]:
    extra, notes = {}, _numerics(estimator)
    if plan.spec.measures_latency:
        import torch  # estimators that train nothing can spare it

        measured_on = torch.device(device)
        extra["latency_ms"] = _admitted_latency(space, proposal, plan, measured_on)
        notes["latency_device"] = device_name(measured_on)
    if plan.shares == (1.0,):
        score = estimator.estimate(space, proposal.architecture, seed=proposal.seed)
        yield CandidateResult(proposal, score=plain_score(score, extra), notes=notes)
        return
    seconds = 0.0
    for rung, share in enumerate(plan.shares):
        score = _estimate_in_part(estimator, space, proposal, share)
        seconds += score.seconds
        extra["depth"] = share
        score = replace(plain_score(score, extra), seconds=seconds)
        if share == 1:
            yield CandidateResult(proposal, score=score, notes=notes)
        else:
            extra[rung_metric(rung)] = reward(score, plan.spec.objectives[0])
            yield CandidateResult(proposal, score=plain_score(score, extra), notes=notes, rung=rung)


def _numerics(estimator: Estimator) -> dict[str, str]:
    """What makes scores differ from those in plain float32, if anything does."""
    notes = {}
    if (precision := getattr(estimator.config, "precision", "float32")) != "float32":
        notes["precision"] = str(precision)
    if getattr(estimator.config, "channels_last", False):
        notes["memory_format"] = "channels_last"
    return notes


def _estimate_in_part(
    estimator: Estimator, space: SearchSpace, proposal: Proposal, share: float
) -> CandidateScore:
    if not isinstance(estimator, MultiFidelityEstimator):
        raise CandidateFailed("error", f"estimator {estimator.name!r} has one depth and cannot stop early")
    return estimator.estimate_in_part(space, proposal.architecture, seed=proposal.seed, share=share)


def _admitted_latency(
    space: SearchSpace, proposal: Proposal, plan: EvaluationPlan, device: "torch.device"
) -> float:
    """Raises CandidateFailed for a network that is slower than the constraint allows: it is not trained."""
    network = space.build(
        proposal.architecture,
        image_shape=plan.image_shape,
        num_classes=plan.num_classes,
        seed=proposal.seed,
    )
    measured = latency_ms(network, plan.image_shape, plan.spec.latency, device)
    limit = plan.spec.constraints.max_latency_ms
    if limit is not None and measured > limit:
        raise CandidateFailed(
            "constraint",
            f"latency is {measured:.3g} ms on {device_name(device)}, above max_latency_ms {limit:g}",
        )
    return measured


def evaluation_plan(spec: SearchSpec, shares: tuple[float, ...], data: EstimatorData) -> EvaluationPlan:
    """The plan of a search on these data."""
    channels, height, width = data.validation_images.shape[1:]
    return EvaluationPlan(spec, shares, (channels, height, width), data.curriculum_labels.shape[-1])
