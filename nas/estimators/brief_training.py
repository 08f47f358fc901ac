"""What training-based estimators share: a few steps on a curriculum, then real validation data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from time import perf_counter
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from gtn_core.randomness import derive_seed
from nas.architecture import Architecture
from nas.estimators.base import CandidateFailed, CandidateScore
from nas.estimators.readouts import TrainingReadout, gain, sums_of_losses
from nas.search_spaces.base import ImageShape, SearchSpace

if TYPE_CHECKING:
    from torch import nn

    from gtn_core.curriculum import SyntheticCurriculum
    from gtn_core.data import Split
    from gtn_core.evaluation import Evaluation
    from nas.cost import Cost


class BriefTrainingConfig(BaseModel):
    """How often a candidate is trained, what it is measured on, and by what it is judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    readout: TrainingReadout = Field(
        "accuracy", description="The number that is the score, losses negated; all of them are reported."
    )
    initialisations: int = Field(1, ge=1, le=64, description="Initialisations that the score is a mean of.")
    validation_limit: int | None = Field(
        None, ge=1, description="Most validation images to measure on; null: all."
    )


def score_by_training(
    space: SearchSpace,
    architecture: Architecture,
    curriculum: SyntheticCurriculum,
    validation: Split,
    *,
    seed: int,
    config: BriefTrainingConfig = BriefTrainingConfig(),  # noqa: B008 - frozen
) -> CandidateScore:
    """Train freshly initialised networks on the curriculum and measure them on validation data.

    Curriculum and validation data are on one device, where everything happens; `validation` is used as it is.
    With several initialisations every number is their mean. Raises CandidateFailed with the reason
    "bad shape", "non-finite" or "out of memory".
    """
    start = perf_counter()
    _, _, channels, height, width = curriculum.images.shape
    image_shape, num_classes = (channels, height, width), curriculum.labels.shape[-1]

    def build(seed: int) -> nn.Module:
        return space.build(architecture, image_shape=image_shape, num_classes=num_classes, seed=seed)

    cost = candidate_cost(build, image_shape)
    with out_of_memory_fails_the_candidate():
        runs = [
            _train_and_measure(build(seed).to(curriculum.images.device), curriculum, validation)
            for seed in initialisation_seeds(seed, config.initialisations)
        ]
    curves, evaluations = zip(*runs, strict=True)
    score = CandidateScore(
        accuracy=fmean(evaluation.accuracy for evaluation in evaluations),
        loss=fmean(evaluation.loss for evaluation in evaluations),
        loss_curve=tuple(fmean(losses) for losses in zip(*curves, strict=True)),
        params=cost.params,
        flops=cost.flops,
        seconds=perf_counter() - start,
        extra={},
    )
    score.extra.update(sums_of_losses(score.loss_curve))
    score.extra["score"] = gain(score, config.readout)
    return score


def initialisation_seeds(seed: int, initialisations: int) -> list[int]:
    """Seeds of a candidate's initialisations; the first is the candidate's own."""
    return [seed, *(derive_seed(seed, "initialisation", index) for index in range(1, initialisations))]


def _train_and_measure(
    network: nn.Module, curriculum: SyntheticCurriculum, validation: Split
) -> tuple[list[float], Evaluation]:
    from gtn_core.evaluation import evaluate
    from gtn_core.inner_loop import train_on_curriculum

    curve = train_on_curriculum(network, curriculum).tolist()
    _require_finite(curve)
    evaluation = evaluate(network, validation, batch_statistics=True)
    if not math.isfinite(evaluation.loss):
        raise CandidateFailed("non-finite", f"validation loss is {evaluation.loss} after {len(curve)} steps")
    return curve, evaluation


def _require_finite(curve: Sequence[float]) -> None:
    for step, loss in enumerate(curve):
        if not math.isfinite(loss):
            raise CandidateFailed("non-finite", f"training loss is {loss} at step {step} of {len(curve)}")


def candidate_cost(build: Callable[[int], nn.Module], image_shape: ImageShape) -> Cost:
    """Parameters and FLOPs; a network whose shapes do not fit shows it here, before anything is computed."""
    from nas.cost import network_cost

    try:
        return network_cost(lambda: build(0), image_shape)
    except (RuntimeError, ValueError) as error:
        raise CandidateFailed("bad shape", f"{type(error).__name__}: {error}") from error


@contextmanager
def out_of_memory_fails_the_candidate() -> Iterator[None]:
    """Inside, running out of memory raises CandidateFailed."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise CandidateFailed("out of memory", str(error)) from error
    except RuntimeError as error:  # the CPU's allocator has no exception type of its own
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise CandidateFailed("out of memory", str(error)) from error
