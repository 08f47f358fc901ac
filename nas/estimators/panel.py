"""Several estimators asked about one architecture, and what they say of a sample of the space."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator, model_validator

from gtn_core.errors import UnknownNameError
from nas.architecture import Architecture
from nas.estimators.base import CandidateFailed, CandidateScore, Estimator, EstimatorConfig, EstimatorData
from nas.estimators.failures import failure_of
from nas.estimators.measurements import OwnMeasurements, measure_all
from nas.estimators.readouts import gain
from nas.named_config import NamedConfig
from nas.refusals import located
from nas.registry import PluginError
from nas.search_spaces import sample
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]

LABEL_FREE_READOUTS = (
    "flops",
    "synflow",
    "naswot",
    "jacobian_covariance",
    "expressivity",
    "progressivity",
    "trainability",
)


class Member(NamedConfig):
    """An estimator with its options beside its name, and the readouts of it that count."""

    name: str = Field(min_length=1, description="A registered estimator.")
    readouts: tuple[str, ...] = Field(
        (), max_length=64, fail_fast=True, description="The numbers that count; none: its score alone."
    )

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        try:
            config = self.config
        except (UnknownNameError, PluginError) as error:
            raise ValueError(str(error)) from error
        within = config.members if isinstance(config, PanelConfig) else ()
        if any(isinstance(member.config, PanelConfig) for member in within):
            # Each level is checked anew for all that it holds.
            raise ValueError(f"{self.name} has members that have members; name those beside each other")
        for readout in self.readouts:
            if config.readouts is not None and readout not in config.readouts:
                known = ", ".join(config.readouts)
                raise ValueError(f"{self.name} has no readout {readout!r}; it has {known}")
        return self

    @property
    def config(self) -> EstimatorConfig:
        """The estimator's own configuration. Raises UnknownNameError, or ValidationError for a bad option."""
        from nas.estimators import estimator_config

        return estimator_config(self.name, **self.options)

    @property
    def complete(self) -> Member:
        """The same with every option's value filled in."""
        own = {"name": self.name, "readouts": self.readouts}
        return Member.model_construct(**self.config.model_dump(mode="json") | own)


class PanelConfig(EstimatorConfig):
    """Who is asked, and how large the sample is that tells what is much and what is little."""

    members: tuple[Member, ...] = Field(
        (Member.model_construct(name="zero_cost", readouts=LABEL_FREE_READOUTS),),
        min_length=1,
        max_length=16,
        fail_fast=True,
        validate_default=True,
        description="The estimators that are asked, each with its options and the readouts that count.",
    )
    reference_size: int = Field(
        48, ge=8, le=4096, description="Architectures drawn from the space that candidates are ranked among."
    )
    reference_seed: int = Field(0, ge=0, le=2**32 - 1, description="Fixes which architectures these are.")

    shares_measurements: ClassVar[bool] = True  # of the reference sample

    @field_validator("members")
    @classmethod
    def _complete(cls, members: tuple[Member, ...]) -> tuple[Member, ...]:
        """Each with all its options, as a request is kept: a default may change."""
        return tuple(member.complete for member in members)

    @property
    def trains(self) -> bool:
        """Whether one of the members does: accuracy and loss are then that one's."""
        return any(member.config.trains for member in self.members)

    @property
    def needs_train_data(self) -> bool:
        """Whether one of the members does."""
        return any(member.config.needs_train_data for member in self.members)

    def check(self, space: SearchSpace) -> None:
        """Raises pydantic.ValidationError, located at an option that the space refuses a member."""
        for place, member in enumerate(self.members):
            try:
                member.config.check(space)
            except ValidationError as error:
                raise located(error, "members", str(place)) from None


class Panel:
    """The members, and the reference sample of each space and seed, scored when it is first needed."""

    def __init__(self, data: EstimatorData, config: PanelConfig, device: torch.device) -> None:
        from nas.estimators import make_estimator

        self._config, self._device = config, device
        self._measurements = data.measurements or OwnMeasurements()
        self._members: list[tuple[str, tuple[str, ...], Estimator]] = []
        for number, member in enumerate(config.members):
            names = [other.name for other in config.members]
            label = member.name if names.count(member.name) == 1 else f"{member.name}_{number + 1}"
            estimator = make_estimator(member.name, data, device=device, **member.options)
            self._members.append((label, member.readouts, estimator))
        self._references: dict[tuple[str, int], Array] = {}

    def ask(
        self, space: SearchSpace, architecture: Architecture, *, seed: int
    ) -> tuple[CandidateScore, Array]:
        """What the members measured as one evaluation, and the readouts that count, [F], more is better.

        Accuracy, loss and loss curve are those of the member that trained longest. Raises CandidateFailed
        when one of them fails.
        """
        scores = [estimator.estimate(space, architecture, seed=seed) for _, _, estimator in self._members]
        counted: list[float] = []
        extra: dict[str, float] = {}
        for (label, readouts, _), score in zip(self._members, scores, strict=True):
            counted += [gain(score, readout) for readout in readouts] or [score.score]
            extra |= {f"{label}.{name}": value for name, value in score.extra.items() if name != "score"}
        longest = max(scores, key=lambda score: len(score.loss_curve))
        merged = CandidateScore(
            accuracy=longest.accuracy,
            loss=longest.loss,
            loss_curve=longest.loss_curve,
            params=longest.params,
            flops=longest.flops,
            seconds=sum(score.seconds for score in scores),
            extra=extra,
        )
        if not np.isfinite(counted).all():  # of a plugin: ours look for themselves
            raise CandidateFailed("non-finite", f"a member's readouts are {counted}")
        return merged, np.array(counted)

    def reference(self, space: SearchSpace, *, seed: int) -> Array:
        """The readouts that count of the reference sample, [M, F], evaluated with the candidates' own seed.

        Raises CandidateFailed when all of the sample fail.
        """
        key = f"{space.name} {space.config!r}", seed
        if key not in self._references:
            drawn = sample(space, self._config.reference_size, self._config.reference_seed)
            answers = self.ask_all("reference", space, drawn, seed=seed)
            rows = [each for each in answers if not isinstance(each, CandidateFailed)]
            if not rows:
                raise next(each for each in answers if isinstance(each, CandidateFailed))
            self._references[key] = np.array(rows)
        return self._references[key]

    def ask_all(
        self, purpose: str, space: SearchSpace, architectures: Sequence[Architecture], *, seed: int
    ) -> list[Array | CandidateFailed]:
        """The readouts that count of each, [F], or why it has none; the workers of a search share the work.

        `purpose` tells these architectures from the others that the same panel is asked about.
        """

        def measure(architecture: Architecture) -> Array | CandidateFailed:
            try:
                return self.ask(space, architecture, seed=seed)[1]
            except Exception as error:  # one of the sample must not spoil what all are ranked among
                return failure_of(error)

        asked = f"{purpose} {seed} {self._device} {space.name} {space.config!r} {self._config!r}"
        key = sha256(asked.encode()).hexdigest()
        return measure_all(self._measurements, key, architectures, measure)
