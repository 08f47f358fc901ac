"""Digits and a small space, shared by the tests of estimators that look at networks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import load_dataset
from nas import get_search_space
from nas.architecture import Architecture
from nas.estimators import EstimatorData, estimator_data
from nas.search_spaces.base import SearchSpace


@pytest.fixture(scope="package")
def data() -> EstimatorData:
    splits = load_dataset("digits", seed=0)
    curriculum = SyntheticCurriculum(
        images=splits.train.images[:64].view(4, 16, 1, 8, 8),
        labels=F.one_hot(splits.train.labels[:64], 10).float().view(4, 16, 10),
        learning_rates=torch.full((4,), 0.1),
        momenta=torch.full((4,), 0.5),
    )
    return estimator_data(curriculum, splits)


@pytest.fixture(scope="package")
def space() -> SearchSpace:
    return get_search_space("nasbench201", channels=4, cells_per_stage=1)


@pytest.fixture(scope="package")
def architectures(space: SearchSpace) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(12)]
