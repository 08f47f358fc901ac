"""Learners of meta-training come from convnets and from a search space, as the request says."""

import pytest
import torch
from torch import nn

from gtn_core import load_dataset, meta_train
from services.meta_worker.learner_sampling import learner_sampler
from services.schemas.requests import MetaTrainingRequest

SHAPE = {"image_shape": (1, 8, 8), "num_classes": 10}


def request(**options: object) -> MetaTrainingRequest:
    return MetaTrainingRequest.model_validate(
        {
            "dataset": {"name": "digits"},
            "config": {"inner_steps": 2, "batch_size": 8, "meta_steps": 3, "learner_channels": [4]},
            **options,
        }
    )


def from_space(fraction: float) -> MetaTrainingRequest:
    space = {"name": "nasbench201", "channels": 4, "cells_per_stage": 1}
    return request(learner_space=space, learner_space_fraction=fraction)


def test_without_a_learner_space_the_method_samples_its_own_convnets() -> None:
    assert learner_sampler(request()) is None


@pytest.mark.parametrize("fraction", [0.25, 1.0])
def test_the_share_of_cells_is_the_requests(fraction: float) -> None:
    sampler = learner_sampler(from_space(fraction))
    assert sampler is not None
    draws = 100
    cells = sum(_is_cell(sampler(**SHAPE, seed=seed)) for seed in range(draws))
    # Four standard deviations of a binomial share.
    assert cells / draws == pytest.approx(fraction, abs=4 * (fraction * (1 - fraction) / draws) ** 0.5)


def test_the_seed_fixes_architecture_and_weights() -> None:
    sampler = learner_sampler(from_space(1.0))
    assert sampler is not None
    first, again, other = (sampler(**SHAPE, seed=seed) for seed in (3, 3, 4))
    images = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first(images), again(images))
    assert not torch.equal(first(images), other(images))


def test_meta_training_on_cells_gives_a_checkpoint_that_names_them() -> None:
    cells = from_space(0.5)
    checkpoint = meta_train(load_dataset("digits"), cells.config, learner_sampler=learner_sampler(cells))
    assert "nasbench201" in checkpoint.manifest.learner
    assert "50%" in checkpoint.manifest.learner


def _is_cell(network: nn.Module) -> bool:
    return type(network).__module__.startswith("nas.")
