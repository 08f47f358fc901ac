"""Performance estimation strategies: what a candidate's brief training is, and what is read from it."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gtn_core.config import InnerOptimizerName
from gtn_core.strict_model import StrictModel
from nas.architecture import Architecture
from nas.estimators.measurements import Measurements
from nas.search_spaces.base import SearchSpace


@dataclass(frozen=True, slots=True)
class EstimatorData:
    """Everything an estimator may train on or measure with, as numpy so that Ray ships it zero-copy.

    Test data are not here on purpose: scoring never sees them.
    """

    curriculum_images: NDArray[np.float32]  # [T, B, C, H, W]
    curriculum_labels: NDArray[np.float32]  # [T, B, K]
    learning_rates: NDArray[np.float32]  # [T]
    momenta: NDArray[np.float32]  # [T]
    inner_optimizer: InnerOptimizerName
    train_images: NDArray[np.float32]  # [N, C, H, W]
    train_labels: NDArray[np.int64]  # [N]
    validation_images: NDArray[np.float32]  # [M, C, H, W]
    validation_labels: NDArray[np.int64]  # [M]
    measurements: Measurements | None = None  # shared with the other workers of the search


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """What one evaluation measured. `extra` holds the estimator's own readouts, its `score` among them."""

    accuracy: float  # on validation data, in [0, 1]
    loss: float  # on validation data, nats
    loss_curve: tuple[float, ...]  # training loss before each inner step, [T]
    params: int
    flops: int  # multiply-adds of one image's forward pass, times two
    seconds: float
    extra: dict[str, float]

    @property
    def latency_ms(self) -> float:
        """Measured forward pass; NaN unless the search measures it."""
        return self.extra.get("latency_ms", float("nan"))

    @property
    def score(self) -> float:
        """What ranks candidates, more is better: `extra["score"]`, or the accuracy where there is none."""
        return self.extra.get("score", self.accuracy)


class EstimatorConfig(StrictModel):
    """Options of an estimator, which are the fields, and what the service asks about it.

    Each answer may be overridden, by a property where it depends on the options, else by a constant:
    `needs_train_data: ClassVar[bool] = False`.
    """

    @property
    def trains(self) -> bool:
        """Whether accuracies and losses are those of a network that has learned something."""
        return True

    @property
    def needs_train_data(self) -> bool:
        """Whether real training data must be shipped to it; without, `train_images` is empty."""
        return True

    @property
    def needs_torch(self) -> bool:
        """Whether it uses PyTorch; without, a worker is spared its import: 150 MB and two seconds."""
        return True

    @property
    def shares_measurements(self) -> bool:
        """Whether the workers of a search are to share measurements: see `EstimatorData.measurements`."""
        return False

    @property
    def ranked_by(self) -> str:
        """The objective of a search for which nobody names one."""
        return "score"

    @property
    def readouts(self) -> tuple[str, ...] | None:
        """The readouts that an ensemble may count; None: nobody knows before an evaluation."""
        return None

    def check(self, space: SearchSpace) -> None:
        """Raise pydantic.ValidationError, located at an option, for a space that it cannot look at."""


@runtime_checkable
class Estimator(Protocol):
    """Gives an architecture a proxy score. Deterministic in (architecture, seed) on one device."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def config(self) -> EstimatorConfig:
        """The estimator's own frozen parameters: one JSON Schema per estimator."""
        ...

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        """Train briefly and measure. Raises CandidateFailed with the reason when that is impossible."""
        ...


@runtime_checkable
class MultiFidelityEstimator(Estimator, Protocol):
    """An estimator that can train a candidate in part, to see early which are not worth the rest."""

    def estimate_in_part(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, share: float
    ) -> CandidateScore:
        """The score after the first `share` of the inner steps, at least one; `share` 1 is `estimate`."""
        ...


class CandidateFailed(Exception):  # noqa: N818 - an outcome of a candidate, not of the program
    """A candidate that cannot be scored: bad shape, out of memory, non-finite loss. Never retried."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type["CandidateFailed"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)
