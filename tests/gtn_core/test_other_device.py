"""Meta-training on a device beside the CPU: which tensors are where, and what can be recorded."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from gtn_core import ConvNetSampler, DatasetSplits, MetaTrainingConfig
from gtn_core.config import MetaGradientForm
from gtn_core.data import Split
from gtn_core.meta_step import meta_step
from gtn_core.meta_training import validate
from gtn_core.meta_training_state import initial_state
from gtn_core.ranking import RankingReference
from gtn_core.recorded_meta_gradient import RecordedMetaGradient, Recording, can_be_recorded

from ..other_device import OtherDevice

FORMS = get_args(MetaGradientForm)
RECORDED: list[dict[str, Any]] = [
    {},
    {"labels": "soft", "inner_optimizer": "adam", "initial_learning_rate": 0.01},
    {"curriculum": "pixels", "augment": "crop_flip", "average_decay": 0.9},
    {"learner": "strided", "learner_normalization": "mean_only", "precision": "bf16"},
]
OTHERS: list[dict[str, Any]] = [
    {"curriculum": "none", "learner_normalization": "either", "learners_per_meta_step": 2},
    {"curriculum": "all_shuffled", "real_steps": 2},
    {"curriculum": "shuffled_batches", "trajectory_weight": 1.0, "trajectory_steps": 2},
    {"window": 2, "ranking_weight": 1.0, "ranking_learners": 2},
]


@pytest.mark.parametrize("options", RECORDED + OTHERS, ids=lambda options: " ".join(options) or "default")
def test_meta_steps_find_all_their_tensors_on_the_device(
    options: dict[str, Any], digits: DatasetSplits, tiny_config: MetaTrainingConfig, other_device: OtherDevice
) -> None:
    """One of each form, from the state that the one before has left."""
    config = MetaTrainingConfig.model_validate(tiny_config.model_dump() | options)
    state, sampler = initial_state(config, digits, seed=0, device=other_device.device), ConvNetSampler(config)
    reference = RankingReference("two", (0.0, 1.0), lambda _, **shape: sampler(**shape))
    train = moved(digits.train, other_device)
    for form in FORMS:
        meta_step(state, train, sampler, config, seed=0, form=form, reference=reference)
    accuracies = validate(state.to_freeze, moved(digits.validation, other_device), sampler, seed=0)
    assert state.step == len(FORMS)
    assert len(accuracies) == 4
    assert {each.device for each in state.curriculum.state_dict().values()} == {other_device.device}


@pytest.mark.parametrize("options", RECORDED, ids=lambda options: " ".join(options) or "default")
def test_what_is_recorded_waits_for_nothing(
    options: dict[str, Any],
    digits: DatasetSplits,
    tiny_config: MetaTrainingConfig,
    other_device: OtherDevice,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A CUDA graph can neither copy from pageable memory nor wait until a number is read."""
    config = MetaTrainingConfig.model_validate(tiny_config.model_dump() | options)
    state, sampler = initial_state(config, digits, seed=0, device=other_device.device), ConvNetSampler(config)
    train = moved(digits.train, other_device)
    waits = other_device.waits_in(monkeypatch, Recording, "_compute")
    for form in FORMS:
        meta_step(state, train, sampler, config, seed=0, form=form, meta_gradient=RecordedMetaGradient())
    assert can_be_recorded(config, sampler)
    assert waits == [0] * len(FORMS)


def moved(split: Split, device: OtherDevice) -> Split:
    return replace(split, images=split.images.to(device.device), labels=split.labels.to(device.device))
