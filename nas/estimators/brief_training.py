"""What training-based estimators share: a few steps on a curriculum, then real validation data."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from statistics import fmean
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gtn_core.randomness import derive_seed, seeded_noise
from nas.architecture import Architecture
from nas.estimators.base import CandidateFailed, CandidateScore, EstimatorConfig
from nas.estimators.readouts import TRAINING_READOUTS, TrainingReadout, gain, sums_of_losses
from nas.search_spaces.base import ImageShape, SearchSpace

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gtn_core.curriculum import SyntheticCurriculum
    from gtn_core.data import Split
    from gtn_core.evaluation import Evaluation
    from nas.cost import Cost


ScoringPrecision = Literal["float32", "bfloat16"]


class BriefTrainingConfig(EstimatorConfig):
    """How often a candidate is trained, what it is measured on, and by what it is judged."""

    readout: TrainingReadout = Field(
        "accuracy",
        description="The number that is the score, losses negated; all of them are reported. Where it was "
        "measured, sum_training_loss_late ranked best.",
    )
    initialisations: int = Field(1, ge=1, le=64, description="Initialisations that the score is a mean of.")
    precision: ScoringPrecision = Field(
        "float32",
        description="What networks compute in, their weights staying float32; it changes scores a little.",
    )
    channels_last: bool | None = Field(
        None,
        description="Keep features with their channels last in memory: faster on CPUs, and on GPUs with "
        "bfloat16; null: on CPUs, for networks that can.",
    )
    cuda_graphs: bool = Field(
        False,
        description="Record a training step once per candidate and replay it. Only on a CUDA device; "
        "faster where launching kernels takes longer than running them.",
    )
    validation_limit: int | None = Field(
        None, ge=1, description="Most validation images to measure on; null: all."
    )

    readouts: ClassVar[tuple[str, ...]] = TRAINING_READOUTS

    @property
    def ranked_by(self) -> Literal["accuracy", "score"]:
        """The accuracy, unless another readout is the score."""
        return "accuracy" if self.readout == "accuracy" else "score"


class BriefTraining(ABC):
    """An estimator that trains candidates on a curriculum, as far as it is asked to."""

    config: BriefTrainingConfig
    _validation: Split

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        """Train on the whole curriculum and measure. Raises CandidateFailed."""
        return self.estimate_in_part(space, architecture, seed=seed, share=1.0)

    def estimate_in_part(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, share: float
    ) -> CandidateScore:
        """The score after a share of the steps, trained from the start. Raises CandidateFailed."""
        curriculum = self._curriculum(seed, space)
        part = curriculum.first(max(1, round(share * len(curriculum))))
        return score_by_training(space, architecture, part, self._validation, seed=seed, config=self.config)

    @abstractmethod
    def _curriculum(self, seed: int, space: SearchSpace) -> SyntheticCurriculum:
        """What a candidate of this seed and space is trained on. Raises CandidateFailed."""


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
    "bad shape" or "non-finite"; anything else that is raised is for `failure_of`.
    """
    start = started()
    _, _, channels, height, width = curriculum.images.shape
    image_shape, num_classes = (channels, height, width), curriculum.labels.shape[-1]

    def build(seed: int) -> nn.Module:
        return space.build(architecture, image_shape=image_shape, num_classes=num_classes, seed=seed)

    cost = candidate_cost(build, image_shape)
    curriculum, validation = laid_out(curriculum, config), laid_out_split(validation, config)
    runs = [
        _train_and_measure(build(each), curriculum, validation, config, seed=each)
        for each in initialisation_seeds(seed, config.initialisations)
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


def laid_out(curriculum: SyntheticCurriculum, config: BriefTrainingConfig) -> SyntheticCurriculum:
    """The curriculum in the memory format of the configuration; itself if it is in that already."""
    if not config.channels_last:
        return curriculum
    images = curriculum.images.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    return replace(curriculum, images=images)


def laid_out_split(split: Split, config: BriefTrainingConfig) -> Split:
    """The data in the memory format of the configuration; no copy if they are in that already."""
    import torch

    if not config.channels_last:
        return split
    return replace(split, images=split.images.contiguous(memory_format=torch.channels_last))


def initialisation_seeds(seed: int, initialisations: int) -> list[int]:
    """Seeds of a candidate's initialisations; the first is the candidate's own."""
    return [seed, *(derive_seed(seed, "initialisation", index) for index in range(1, initialisations))]


def _train_and_measure(
    network: nn.Module,
    curriculum: SyntheticCurriculum,
    validation: Split,
    config: BriefTrainingConfig,
    *,
    seed: int,
) -> tuple[list[float], Evaluation]:
    from gtn_core.evaluation import evaluate
    from gtn_core.graphed_training import train_graphed
    from gtn_core.inner_loop import train_on_curriculum
    from gtn_core.precision import autocast

    device, bfloat16 = curriculum.images.device, config.precision == "bfloat16"
    network = _laid_out_network(network.to(device), curriculum.images, config)
    graphed = config.cuda_graphs and device.type == "cuda"
    train = train_graphed if graphed else train_on_curriculum
    with seeded_noise(seed, device):
        curve = train(network, curriculum, bfloat16=bfloat16).tolist()
        _require_finite(curve)
        with autocast(device, bfloat16=bfloat16):
            evaluation = evaluate(network, validation, batch_statistics=True)
    if not math.isfinite(evaluation.loss):
        raise CandidateFailed("non-finite", f"validation loss is {evaluation.loss} after {len(curve)} steps")
    return curve, evaluation


def _laid_out_network(network: nn.Module, images: torch.Tensor, config: BriefTrainingConfig) -> nn.Module:
    from gtn_core.layers import channels_last
    from nas.memory_format import channels_last_if_it_runs

    if config.channels_last:
        return channels_last(network)
    if config.channels_last is None and images.device.type == "cpu":
        channels, height, width = images.shape[-3:]
        return channels_last_if_it_runs(network, (channels, height, width))
    return network


def _require_finite(curve: Sequence[float]) -> None:
    for step, loss in enumerate(curve):
        if not math.isfinite(loss):
            raise CandidateFailed("non-finite", f"training loss is {loss} at step {step} of {len(curve)}")


def started() -> float:
    """The clock as a candidate begins, once all is there that the first one of a process would import.

    That takes seconds, which would stand in the first candidate's time as if its network were slow.
    """
    _import_all()
    return perf_counter()


@cache
def _import_all() -> None:
    """PyTorch imports its compiler, and with it SymPy, not before shapes are asked for."""
    from torch import nn

    from nas.cost import network_cost

    network_cost(lambda: nn.Conv2d(1, 1, 1), (1, 1, 1))


def candidate_cost(build: Callable[[int], nn.Module], image_shape: ImageShape) -> Cost:
    """Parameters and FLOPs; a network whose shapes do not fit shows it here, before anything is computed."""
    from nas.cost import network_cost

    try:
        return network_cost(lambda: build(0), image_shape)
    except (RuntimeError, ValueError) as error:
        raise CandidateFailed("bad shape", f"{type(error).__name__}: {error}") from error
