"""Training on real batches in the shape of a curriculum, at a rate that suits the space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from gtn_core.config import InnerOptimizerName
from gtn_core.data import Split
from nas.architecture import Architecture
from nas.estimators.base import CandidateFailed, EstimatorData
from nas.estimators.brief_training import BriefTrainingConfig, laid_out_split, score_by_training
from nas.estimators.failures import failure_of
from nas.estimators.resident_data import resident, validation_split
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    import torch

    from gtn_core.curriculum import SyntheticCurriculum

RATES: dict[InnerOptimizerName, tuple[float, ...]] = {
    "sgd": (0.01, 0.03, 0.1, 0.3, 1.0),
    "adam": (0.001, 0.003, 0.01, 0.03, 0.1),
}
"""Learning rates that are tried where one is to be found."""

USUAL_RATES: dict[InnerOptimizerName, float] = {"sgd": 0.1, "adam": 0.01}
"""Tuned for SGD on digits, 10 steps of 32 images, by the mean accuracy of 12 random NAS-Bench-201 cells: no
rate from 0.02 to 0.5 with a momentum from 0.5 to 0.9 is better by more than the standard error, 0.03."""

TUNING_ARCHITECTURES = 4
TUNING_DRAWS = 20
"""Architectures that are drawn until so many could be trained."""
TUNING_SEED = 0


class RealBatchesConfig(BriefTrainingConfig):
    """SGD with momentum at constant rates on real batches of the curriculum's size."""

    steps: int | None = Field(
        None, ge=1, le=100_000, description="Steps on real data; null: as many as the curriculum has."
    )
    learning_rate: Annotated[float, Field(gt=0, le=100)] | Literal["usual"] | None = Field(
        "usual",
        description="Learning rate of every real step; usual: 0.1, or 0.01 where the checkpoint's inner "
        "optimizer is Adam and is gone on with; null: the best of five, found once per space by the mean "
        "accuracy of four of its architectures.",
    )
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of every real step.")


class RealBatches:
    """Real training data as curricula: pass after pass, each in an order of its own."""

    def __init__(
        self,
        data: EstimatorData,
        config: RealBatchesConfig,
        device: torch.device,
        inner_optimizer: InnerOptimizerName = "sgd",
    ) -> None:
        self._config, self._inner_optimizer = config, inner_optimizer
        self._train = Split(resident(data.train_images, device), resident(data.train_labels, device))
        validation = validation_split(data, device, limit=config.validation_limit)
        self.validation = laid_out_split(validation, config)
        steps, self._batch_size, self._num_classes = data.curriculum_labels.shape
        self._steps = config.steps or steps
        self._tuned: dict[str, float | CandidateFailed] = {}

    def curriculum(self, seed: int, space: SearchSpace) -> SyntheticCurriculum:
        """The batches of this seed at the configured rate, or at the one that suits the space."""
        match self._config.learning_rate:
            case None:
                rate = self.tuned_rate(space)
            case "usual":
                rate = USUAL_RATES[self._inner_optimizer]
            case rate:
                pass
        return self._at_rate(rate, seed)

    def tuned_rate(self, space: SearchSpace) -> float:
        """The rate of RATES with the best mean accuracy over a few random architectures of the space.

        Found when it is first asked for. A rate at which one diverges is not taken; an architecture that
        cannot be trained at any says nothing. Raises CandidateFailed when no rate is left.
        """
        key = f"{space.name} {space.config!r}"
        if key not in self._tuned:
            self._tuned[key] = self._tune(space)
        tuned = self._tuned[key]
        if isinstance(tuned, CandidateFailed):
            raise CandidateFailed(tuned.reason, tuned.detail)
        return tuned

    def _tune(self, space: SearchSpace) -> float | CandidateFailed:
        rng = np.random.default_rng(TUNING_SEED)
        accuracies: list[dict[float, float]] = []  # of each architecture, at the rates that it can bear
        failure = CandidateFailed("error", "no learning rate was tried")
        for _ in range(TUNING_DRAWS):
            found = self._accuracies(space, space.sample(rng))
            if isinstance(found, CandidateFailed):
                failure = found
            else:
                accuracies.append(found)
            if len(accuracies) == TUNING_ARCHITECTURES:
                break
        borne = [rate for rate in RATES[self._inner_optimizer] if all(rate in each for each in accuracies)]
        if not accuracies:
            return failure
        if not borne:
            return CandidateFailed("non-finite", "at each learning rate that was tried one network diverges")
        return max(borne, key=lambda rate: sum(each[rate] for each in accuracies))

    def _accuracies(
        self, space: SearchSpace, architecture: Architecture
    ) -> dict[float, float] | CandidateFailed:
        found: dict[float, float] = {}
        for rate in RATES[self._inner_optimizer]:
            try:
                score = score_by_training(
                    space,
                    architecture,
                    self._at_rate(rate, TUNING_SEED),
                    self.validation,
                    seed=TUNING_SEED,
                    config=self._config.model_copy(update={"initialisations": 1}),
                )
            except Exception as error:  # it is not the candidate that asks which is at fault
                failure = failure_of(error)
            else:
                found[rate] = score.accuracy
        return found or failure

    def _at_rate(self, learning_rate: float, seed: int) -> SyntheticCurriculum:
        import torch

        from gtn_core.curriculum import SyntheticCurriculum

        order = _epochs(len(self._train), self._steps * self._batch_size, np.random.default_rng(seed))
        index = torch.from_numpy(order).to(self._train.labels.device).view(self._steps, self._batch_size)
        return SyntheticCurriculum.of_real(
            self._train,
            index,
            num_classes=self._num_classes,
            learning_rate=learning_rate,
            momentum=self._config.momentum,
            inner_optimizer=self._inner_optimizer,
        )


def _epochs(size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `count` samples: pass after pass over the data, each in an order of its own."""
    passes = [rng.permutation(size) for _ in range(-(-count // size))]
    return np.concatenate(passes)[:count]
