"""Calibration sets: architectures whose order is known, for meta-training that teaches it.

A table gives the order, or longer real training does. The architectures are drawn by seeds of their own, so
that a fidelity report compares others, but for the few that chance has in both.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from gtn_core import DatasetSplits, RankingReference, SyntheticCurriculum
from gtn_core.randomness import derive_seed
from nas.estimators import estimator_data, make_estimator
from nas.estimators.failures import failure_of
from nas.search_spaces import sample
from nas.search_spaces.base import SearchSpace
from nas.true_accuracies import TrueAccuracy, draw_candidates

CALIBRATION_SEED = derive_seed(0, "calibration set")
"""Of architectures and trainings: all meta-trainings on one split of a data set share the set."""

CALIBRATION_BATCH = 64
"""Real images a step."""


def train_calibration_set(
    space: SearchSpace,
    splits: DatasetSplits,
    *,
    architectures: int,
    steps: int,
    known: Mapping[str, float] | None = None,
    on_trained: Callable[[str, float], None] | None = None,
    device: str | torch.device = "cpu",
) -> list[TrueAccuracy]:
    """Train random architectures on real data; their validation accuracies count as true ones.

    The learning rate is the best of a few for the space. `known` accuracies, by encoding, are not made
    again; `on_trained(encoding, accuracy)` is told of each that was. An architecture that cannot be trained
    has the accuracy NaN there and is left out here. Test data are not touched.
    """
    data = estimator_data(_blank_curriculum(splits), splits)
    real = make_estimator("real_data", data, device=device, steps=steps, learning_rate=None)
    entries: list[TrueAccuracy] = []
    for architecture in sample(space, architectures, CALIBRATION_SEED):
        accuracy = (known or {}).get(architecture.encoding)
        if accuracy is None:
            try:
                accuracy = real.estimate(space, architecture, seed=CALIBRATION_SEED).accuracy
            except Exception as error:  # one architecture must not spoil the set
                failure_of(error)
                accuracy = math.nan
            if on_trained is not None:
                on_trained(architecture.encoding, accuracy)
        if not math.isnan(accuracy):
            entries.append(TrueAccuracy(architecture, accuracy))
    return entries


def draw_calibration_set(
    table: Sequence[TrueAccuracy], space: SearchSpace, *, architectures: int, seed: int
) -> list[TrueAccuracy]:
    """Architectures of a table whose accuracies count as true ones. Raises DatasetError when it has fewer."""
    own_seed = derive_seed(seed, "calibration set")
    return draw_candidates(table, space, number=architectures, population="unique", seed=own_seed)


def ranking_reference(space: SearchSpace, entries: Sequence[TrueAccuracy], name: str) -> RankingReference:
    """The entries as meta-training takes them. Raises DatasetError when they order nothing."""
    return RankingReference(
        f"{name} ({space.name}, {space.config!r})",
        tuple(entry.accuracy for entry in entries),
        _Learners(space, entries),
    )


class _Learners:
    """Builds learners of the entries; a class, so that it can be sent to other processes."""

    def __init__(self, space: SearchSpace, entries: Sequence[TrueAccuracy]) -> None:
        self.space, self.architectures = space, [entry.architecture for entry in entries]

    def __call__(self, index: int, **shape: Any) -> nn.Module:
        return self.space.build(self.architectures[index], **shape)


def _blank_curriculum(splits: DatasetSplits) -> SyntheticCurriculum:
    """One that gives real training its batch size, and is not trained on."""
    return SyntheticCurriculum(
        images=torch.zeros(1, CALIBRATION_BATCH, *splits.image_shape),
        labels=torch.full((1, CALIBRATION_BATCH, splits.num_classes), 1 / splits.num_classes),
        learning_rates=torch.ones(1),
        momenta=torch.zeros(1),
    )
