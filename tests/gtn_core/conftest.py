"""Real digits and the smallest meta-training that has every part."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from gtn_core import DatasetSplits, MetaTrainingConfig, load_dataset
from gtn_core.ranks import Rank


@pytest.fixture(scope="session")
def digits() -> DatasetSplits:
    return load_dataset("digits", seed=0)


@pytest.fixture(scope="session")
def tiny_config() -> MetaTrainingConfig:
    return MetaTrainingConfig(
        inner_steps=3,
        batch_size=10,
        latent_size=4,
        generator_hidden=8,
        generator_channels=(4, 3),
        learner_channels=(3,),
        learner_hidden=8,
        meta_steps=6,
        outer_batch_size=20,
        clip_factor=0.9,  # so that most meta-gradients are clipped
        validate_every=4,
        save_every=2,
    )


@pytest.fixture
def on_two_ranks() -> Callable[[Callable[[Rank], Any]], list[Any]]:
    """Does the same work in two threads that add up what they find, and gives both their results."""

    def run(work: Callable[[Rank], Any]) -> list[Any]:
        meeting, given = threading.Barrier(2, timeout=60), [torch.zeros(1)] * 2

        def rank(index: int) -> Rank:
            def add_up(tensor: Tensor) -> None:
                given[index] = tensor.clone()
                meeting.wait()
                tensor.copy_(given[0] + given[1])
                meeting.wait()

            return Rank(index, 2, add_up)

        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(work, [rank(0), rank(1)]))

    return run
