"""Candidates on a device beside the CPU: which tensors are where, and what can be recorded."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import DatasetSplits, load_dataset
from gtn_core.graphed_training import _Step, train_graphed
from nas import get_search_space
from nas.estimators import estimator_data, make_estimator
from nas.final_training import FinalTrainingConfig, final_train
from nas.search_spaces.base import SearchSpace

from ..other_device import OtherDevice

T, B = 4, 16
SPACES: dict[str, dict[str, Any]] = {
    "nasbench201": {"channels": 4, "cells_per_stage": 1},
    "nasnet_micro": {},
    "resnet_macro": {},
}


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return get_search_space(request.param, **SPACES[request.param])


@pytest.fixture(scope="module")
def splits() -> DatasetSplits:
    return load_dataset("digits", seed=0)


@pytest.mark.parametrize(
    "estimator",
    [
        ("gtn", {"initialisations": 2}),
        ("gtn", {"precision": "bfloat16", "channels_last": True}),
        ("gtn_then_real", {}),
        ("real_data", {}),
        ("zero_cost", {}),
    ],
    ids=str,
)
def test_an_estimator_finds_all_its_tensors_on_the_device(
    estimator: tuple[str, dict[str, Any]],
    space: SearchSpace,
    splits: DatasetSplits,
    other_device: OtherDevice,
) -> None:
    images, labels = splits.train.images[: T * B], splits.train.labels[: T * B]
    curriculum = SyntheticCurriculum(
        images.view(T, B, 1, 8, 8),
        F.one_hot(labels, 10).float().view(T, B, 10),
        learning_rates=torch.full((T,), 0.1),
        momenta=torch.full((T,), 0.5),
    )
    name, config = estimator
    data = estimator_data(curriculum, splits)
    scored = make_estimator(name, data, device=other_device.device, **config)
    score = scored.estimate(space, space.sample(np.random.default_rng(0)), seed=1)
    assert score.params > 0
    assert other_device.waits > 0


def test_a_recorded_training_step_waits_for_nothing(
    space: SearchSpace, other_device: OtherDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    curriculum = SyntheticCurriculum(
        torch.empty(T, B, 1, 8, 8),
        torch.empty(T, B, 10),
        learning_rates=torch.empty(T),
        momenta=torch.empty(T),
        inner_optimizer="adam",
    ).to(other_device.device)
    architecture = space.sample(np.random.default_rng(0))
    network = space.build(architecture, image_shape=(1, 8, 8), num_classes=10, seed=0)
    waits = other_device.waits_in(monkeypatch, _Step, "__call__")
    losses = train_graphed(network.to(other_device.device), curriculum)
    assert waits == [0] * T
    assert losses.device == other_device.device


@pytest.mark.parametrize(
    "options",
    [{}, {"cutout": 3, "augment": "crop_flip"}, {"drop_path": 0.2, "auxiliary_weight": 0.4}],
    ids=lambda options: " ".join(options) or "default",
)
def test_a_final_training_finds_all_its_tensors_on_the_device(
    options: dict[str, Any], space: SearchSpace, splits: DatasetSplits, other_device: OtherDevice
) -> None:
    config = FinalTrainingConfig(epochs=1, batch_size=1024, **options)
    architecture = space.sample(np.random.default_rng(0))
    trained = final_train(space, architecture, splits, config, seed=0, device=other_device.device)
    assert len(trained.history) == 1
