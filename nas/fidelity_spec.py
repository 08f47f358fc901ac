"""What a fidelity report is asked to compare, and how it is made: from a table, or from real trainings."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from gtn_core.errors import DatasetError
from gtn_core.randomness import derive_seed
from gtn_core.strict_model import StrictModel
from nas.estimators import estimator_config, make_estimator
from nas.estimators.base import EstimatorData
from nas.fidelity import FidelityProgress, FidelityReport, Known, fidelity_report, score_candidates
from nas.named_config import NamedConfig
from nas.refusals import located, refusal
from nas.search_spaces import get_search_space, sample
from nas.true_accuracies import Population, TrueAccuracy, draw_candidates

if TYPE_CHECKING:
    import torch

TRUTH = "truth"
"""The label of the real trainings that stand for a table."""

BASELINES = tuple(NamedConfig(name=name) for name in ("gtn", "real_data", "zero_cost", "ensemble"))


class FidelitySpec(StrictModel):
    """One report."""

    model_config = ConfigDict(allow_inf_nan=False)

    search_space: NamedConfig = NamedConfig(name="nasbench201")
    estimators: tuple[NamedConfig, ...] = Field(
        BASELINES,
        min_length=1,
        max_length=50,
        fail_fast=True,
        description="What is compared, each with its options.",
    )
    candidates: int = Field(100, ge=2, le=100_000, description="Architectures that are scored.")
    labels: int = Field(
        0,
        ge=0,
        le=2000,
        description="Further architectures whose true accuracies `calibrated` learns from.",
    )
    population: Population = Field(
        "unique", description="Draw from all architectures, or from one of each isomorphism class."
    )
    truth_steps: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Where there is no table: steps on real data after which an accuracy counts as true.",
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Fixes candidates, scores and intervals.")

    @model_validator(mode="after")
    def _labels_have_a_use(self) -> Self:
        if 0 < self.labels < 5:
            raise ValueError(f"labels is {self.labels}; calibrated needs at least 5, or 0 for none")
        return self

    def evaluations(self, *, with_table: bool) -> int:
        """How many there are in all."""
        drawn = self.candidates + self.labels
        return len(self.estimators) * self.candidates + (0 if with_table else drawn)


def validate_fidelity_spec(spec: FidelitySpec) -> FidelitySpec:
    """Check names and options against the registries; the spec with the options of its space filled in.

    Raises UnknownNameError, or pydantic.ValidationError for an option that its owner refuses.
    """
    try:
        space = get_search_space(spec.search_space.name, **spec.search_space.options)
    except ValidationError as error:
        raise located(error, "search_space") from None
    (one,) = sample(space, 1, 0)
    some = [{"architecture": one.encoding, "accuracy": float(number)} for number in range(spec.labels)]
    for place, estimator in enumerate(spec.estimators):
        given = _with_labels(estimator, some)
        if given.get("labels") == []:
            raise refusal(
                "FidelitySpec",
                ("labels",),
                spec.labels,
                f"{estimator.name} learns from labelled architectures: ask for at least 5, or leave it out",
            )
        try:
            estimator_config(estimator.name, **given).check(space)
        except ValidationError as error:
            raise located(error, "estimators", str(place)) from None
    filled = NamedConfig(name=spec.search_space.name, **space.config.model_dump(mode="json"))
    return spec.model_copy(update={"search_space": filled})


def make_fidelity_report(
    spec: FidelitySpec,
    data: EstimatorData,
    table: Sequence[TrueAccuracy] | None,
    *,
    known: Known | None = None,
    on_candidate: Callable[[FidelityProgress], None] | None = None,
    device: str | torch.device = "cpu",
) -> FidelityReport:
    """Score candidates of the table, or of the space, with each estimator, and compare the orders.

    Evaluations that are `known` are not made again; `on_candidate` is told of each that was made, its `done`
    and `total` counting all of the report. Without a table true accuracies are those after `truth_steps`
    steps on real data, measured on validation data. Raises DatasetError when the table or the space is too
    small, or when too few architectures can be trained.
    """
    space = get_search_space(spec.search_space.name, **spec.search_space.options)
    total = spec.evaluations(with_table=table is not None)
    score = partial(score_candidates, space, known=known, on_candidate=on_candidate, total=total)
    number = spec.candidates + spec.labels
    population = spec.population
    if table is None:
        population = "unique"
        truth = make_estimator("real_data", data, device=device, steps=spec.truth_steps, learning_rate=None)
        unknown = [TrueAccuracy(architecture, math.nan) for architecture in sample(space, number, spec.seed)]
        if len(unknown) < number:
            raise DatasetError(
                f"the report needs {number} different architectures, and {len(unknown)} were found in "
                f"{space.name} with these options",
                remedy="lower candidates or labels",
            )
        # Initial weights and batches of their own: shared ones would flatter estimators that train.
        outcomes = score({TRUTH: truth}, unknown, seed=derive_seed(spec.seed, TRUTH))[TRUTH]
        drawn = [
            TrueAccuracy(entry.architecture, outcome.score)
            for entry, outcome in zip(unknown, outcomes, strict=True)
            if outcome.failure is None
        ]
    else:
        drawn = draw_candidates(
            table,
            space,
            number=spec.candidates,
            labels=spec.labels,
            population=spec.population,
            seed=spec.seed,
        )
    left = len(drawn) - spec.labels  # fewer than asked for where real trainings failed
    if left < 2:
        raise DatasetError(
            f"{number - len(drawn)} of {number} architectures could not be trained for a true accuracy, "
            "and the others are too few to compare"
        )
    compared, labelled = drawn[:left], drawn[left:]
    labels = [{"architecture": entry.architecture.encoding, "accuracy": entry.accuracy} for entry in labelled]
    estimators = {
        label: make_estimator(each.name, data, device=device, **_with_labels(each, labels))
        for label, each in zip(estimator_labels(spec.estimators), spec.estimators, strict=True)
    }
    # What could not be trained is not scored either: it counts as done.
    done_before = total - len(estimators) * len(compared)
    outcomes_by_label = score(estimators, compared, seed=spec.seed, done_before=done_before)
    return fidelity_report(compared, outcomes_by_label, population=population, seed=spec.seed)


def estimator_labels(estimators: Sequence[NamedConfig]) -> list[str]:
    """What the report calls them: their names, with the options behind where a name comes twice."""
    names = [each.name for each in estimators]
    labels: list[str] = []
    for each in estimators:
        label = each.name
        if names.count(label) > 1 and each.options:
            options = (f"{key}={_plain(value)}" for key, value in each.options.items())
            label = f"{each.name}:{','.join(options)}"
        while label in labels:
            label += "'"
        labels.append(label)
    return labels


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _with_labels(estimator: NamedConfig, labels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if estimator.name != "calibrated" or "labels" in estimator.options:
        return estimator.options
    return {**estimator.options, "labels": list(labels)}
