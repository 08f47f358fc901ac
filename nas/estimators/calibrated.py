"""The ensemble corrected by a few candidates that were trained for real."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from gtn_core.errors import InvalidArchitectureError
from gtn_core.strict_model import StrictModel
from nas.architecture import Architecture
from nas.estimators.base import CandidateFailed, CandidateScore, EstimatorData
from nas.estimators.log_rank import log_rank, normal_scores, relative_ranks
from nas.estimators.panel import Panel, PanelConfig
from nas.refusals import refusal
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]


class Label(StrictModel):
    """An architecture and what it reached when it was trained for real."""

    architecture: str = Field(min_length=1, description="Its encoding.")
    accuracy: float = Field(allow_inf_nan=False, description="In any unit, the same for all labels.")


class CalibratedConfig(PanelConfig):
    """Who is asked, and the labels."""

    labels: tuple[Label, ...] = Field(
        min_length=5, max_length=2000, fail_fast=True, description="Candidates trained for real."
    )
    readout: Literal["predicted"] = Field(
        "predicted", description="The prediction; nothing else is the score."
    )

    readouts: ClassVar[tuple[str, ...]] = ("predicted", "log_rank")

    @field_validator("labels")
    @classmethod
    def _they_order_something(cls, labels: tuple[Label, ...]) -> tuple[Label, ...]:
        if len({label.accuracy for label in labels}) < 2:
            raise ValueError("all labels have one accuracy, from which no order can be learned")
        return labels

    def check(self, space: SearchSpace) -> None:
        """Raises pydantic.ValidationError for a label that is none of the space."""
        super().check(space)
        for place, label in enumerate(self.labels):
            try:
                space.parse(label.architecture)
            except InvalidArchitectureError as error:
                given = ("labels", str(place), "architecture")
                raise refusal("CalibratedConfig", given, label.architecture, str(error)) from error


class Calibrated:
    """A Gaussian process over readouts and architecture, whose prior mean is the label-free ensemble.

    Far from every label the score is the ensemble's. Accuracies are predicted as normal scores of their
    ranks: the order counts, and a few hopeless architectures would rule a regression on the accuracies.
    """

    name: ClassVar[str] = "calibrated"
    description: ClassVar[str] = "The ensemble corrected by a Gaussian process fitted to labelled candidates."
    Config: ClassVar[type[CalibratedConfig]] = CalibratedConfig

    def __init__(self, data: EstimatorData, config: CalibratedConfig, device: torch.device) -> None:
        self.config = config
        self._panel = Panel(data, config, device)
        self._predictors: dict[tuple[str, int], LogRankProcess] = {}

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        """Ask all members and predict. Raises CandidateFailed, also for want of usable labels."""
        predictor = self._predictor(space, seed)
        score, readouts = self._panel.ask(space, architecture, seed=seed)
        predicted, aggregate = predictor.predict(readouts[None], space.features(architecture)[None])
        score.extra.update(log_rank=float(aggregate[0]), predicted=float(predicted[0]))
        score.extra["score"] = score.extra["predicted"]
        return score

    def _predictor(self, space: SearchSpace, seed: int) -> LogRankProcess:
        key = f"{space.name} {space.config!r}", seed
        if key not in self._predictors:
            readouts, features, accuracies = [], [], []
            labelled = [space.parse(label.architecture) for label in self.config.labels]
            answers = self._panel.ask_all("labels", space, labelled, seed=seed)
            for label, architecture, answer in zip(self.config.labels, labelled, answers, strict=True):
                if isinstance(answer, CandidateFailed):
                    continue  # what cannot be scored cannot teach
                readouts.append(answer)
                features.append(space.features(architecture))
                accuracies.append(label.accuracy)
            if len(set(accuracies)) < 2:
                raise CandidateFailed(
                    "error", f"the {len(accuracies)} labels that can be scored order nothing"
                )
            self._predictors[key] = LogRankProcess(
                self._panel.reference(space, seed=seed),
                np.array(readouts),
                np.array(features),
                np.array(accuracies),
            )
        return self._predictors[key]


class LogRankProcess:
    """A Gaussian process on what the log-rank aggregate leaves unexplained, for F readouts and D features."""

    def __init__(self, reference: Array, readouts: Array, features: Array, accuracies: Array) -> None:
        """`reference` is [M, F]; `readouts` [N, F], `features` [N, D] and `accuracies` [N] are the labels."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        self._reference = reference
        self._reference_aggregate = log_rank(reference, reference)[:, None]
        truth = normal_scores(relative_ranks(accuracies[:, None], accuracies[:, None]))[:, 0]
        prior = self._prior(log_rank(reference, readouts))
        self._slope = max(0.0, float(prior @ truth / (prior @ prior))) if prior.any() else 0.0
        kernel = ConstantKernel(0.3) * RBF(5.0, (1.0, 50.0)) + WhiteKernel(0.1, (0.01, 1.0))
        self._process = GaussianProcessRegressor(kernel, normalize_y=True)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # a scale at its bound: nothing to learn there
            self._process.fit(self._inputs(readouts, features), truth - self._slope * prior)

    def predict(self, readouts: Array, features: Array) -> tuple[Array, Array]:
        """Predicted normal scores [N], and the log-rank aggregates [N]; more is better in both."""
        aggregate = log_rank(self._reference, readouts)
        correction: Array = self._process.predict(self._inputs(readouts, features))
        return self._slope * self._prior(aggregate) + correction, aggregate

    def _prior(self, aggregate: Array) -> Array:
        return normal_scores(relative_ranks(self._reference_aggregate, aggregate[:, None]))[:, 0]

    def _inputs(self, readouts: Array, features: Array) -> Array:
        return np.hstack([normal_scores(relative_ranks(self._reference, readouts)), features])
