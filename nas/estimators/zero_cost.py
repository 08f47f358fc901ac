"""Zero-cost proxies: what an untrained network's structure, gradients and features tell, from one batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from gtn_core.randomness import torch_generator
from nas.architecture import Architecture
from nas.estimators.base import CandidateFailed, CandidateScore, EstimatorConfig, EstimatorData
from nas.estimators.brief_training import candidate_cost, started
from nas.estimators.readouts import gain
from nas.estimators.resident_data import validation_split
from nas.refusals import located
from nas.search_spaces import with_options
from nas.search_spaces.base import ImageShape, SearchSpace

if TYPE_CHECKING:
    import torch
    from torch import nn

Proxy = Literal[
    "params",
    "flops",
    "synflow",
    "naswot",
    "jacobian_covariance",
    "expressivity",
    "progressivity",
    "trainability",
    "gradient_norm",
]
PROXIES: tuple[Proxy, ...] = (
    "params",
    "flops",
    "synflow",
    "naswot",
    "jacobian_covariance",
    "expressivity",
    "progressivity",
    "trainability",
)
"""What is measured by default: all but the gradient norm, which ranks worst."""

AZ_NAS_TERMS = ("expressivity", "progressivity", "trainability")


class ZeroCostConfig(EstimatorConfig):
    """Which proxies are measured, on how many images, and which one is the score."""

    readout: Proxy = Field("naswot", description="The proxy that is the score; all measured are reported.")
    proxies: tuple[Proxy, ...] = Field(
        PROXIES, max_length=64, fail_fast=True, description="The proxies to measure, beside the readout."
    )
    batch_size: int = Field(64, ge=2, le=4096, description="Validation images, or noise, looked at at once.")
    network: dict[str, Any] | None = Field(
        None,
        description="Options of the search space for the network that is looked at, such as its size in "
        "final training; null: the candidate as the search has it.",
    )

    trains: ClassVar[bool] = False
    needs_train_data: ClassVar[bool] = False

    @property
    def readouts(self) -> tuple[str, ...]:
        """What is measured as it is asked for here."""
        return tuple(dict.fromkeys(("params", "flops", *self.proxies, self.readout)))

    def check(self, space: SearchSpace) -> None:
        """Raises pydantic.ValidationError, located at an option of `network` that the space refuses."""
        try:
            with_options(space, self.network or {})
        except ValidationError as error:
            raise located(error, "network") from None


class ZeroCost:
    """Trains nothing: accuracy and loss are those of the untrained network on the batch."""

    name: ClassVar[str] = "zero_cost"
    description: ClassVar[str] = "Zero-cost proxies of the untrained network; its accuracy says nothing."
    Config: ClassVar[type[ZeroCostConfig]] = ZeroCostConfig

    def __init__(self, data: EstimatorData, config: ZeroCostConfig, device: torch.device) -> None:
        self.config = config
        self._batch = validation_split(data, device, limit=config.batch_size)
        self._num_classes = data.curriculum_labels.shape[-1]

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        """Build one network and look at it. Raises CandidateFailed."""
        from gtn_core.evaluation import evaluate

        start = started()
        _, channels, height, width = self._batch.images.shape
        shape: ImageShape = (channels, height, width)

        def build(space: SearchSpace, seed: int) -> nn.Module:
            return space.build(architecture, image_shape=shape, num_classes=self._num_classes, seed=seed)

        # The candidate's own, whatever is looked at: constraints and Pareto fronts go by it.
        cost = candidate_cost(partial(build, space), shape)
        looked_at, of_network = space, {}
        if self.config.network:
            looked_at = with_options(space, self.config.network)
            larger = candidate_cost(partial(build, looked_at), shape)
            of_network = {"network_params": float(larger.params), "network_flops": float(larger.flops)}
        network = build(looked_at, seed).to(self._batch.images.device)
        untrained = evaluate(network, self._batch, batch_statistics=True)
        _require_finite({"validation loss": untrained.loss})
        measured = self._measure(network, seed)
        _require_finite(measured)
        score = CandidateScore(
            accuracy=untrained.accuracy,
            loss=untrained.loss,
            loss_curve=(),
            params=cost.params,
            flops=cost.flops,
            seconds=perf_counter() - start,
            extra=of_network | measured,
        )
        score.extra["score"] = gain(score, self.config.readout)
        return score

    def _measure(self, network: nn.Module, seed: int) -> dict[str, float]:
        """The proxies that are asked for; those of AZ-NAS come last, because they draw the weights anew."""
        from nas.estimators.proxies import az_nas, gradient_norm, jacobian_covariance, naswot, synflow

        wanted = {*self.config.proxies, self.config.readout}
        images, labels = self._batch.images, self._batch.labels
        shape = (images.shape[1], images.shape[2], images.shape[3])
        single: dict[str, Callable[[], float]] = {
            "synflow": lambda: synflow(network, shape),
            "naswot": lambda: naswot(network, images),
            "jacobian_covariance": lambda: jacobian_covariance(network, images),
            "gradient_norm": lambda: gradient_norm(network, images, labels),
        }
        measured: dict[str, float] = {name: measure() for name, measure in single.items() if name in wanted}
        if not wanted.isdisjoint(AZ_NAS_TERMS):
            generator = torch_generator(seed, "az-nas")
            terms = az_nas(network, shape, batch_size=self.config.batch_size, generator=generator)
            measured |= {name: getattr(terms, name) for name in AZ_NAS_TERMS if name in wanted}
        return measured


def _require_finite(measured: dict[str, float]) -> None:
    for name, value in measured.items():
        if not math.isfinite(value):
            raise CandidateFailed("non-finite", f"{name} of the untrained network is {value}")
