"""A small space and architectures of it, shared by the tests of estimators that look at networks."""

import numpy as np
import pytest

from nas import get_search_space
from nas.architecture import Architecture
from nas.search_spaces.base import SearchSpace


@pytest.fixture(scope="package")
def space() -> SearchSpace:
    return get_search_space("nasbench201", channels=4, cells_per_stage=1)


@pytest.fixture(scope="package")
def architectures(space: SearchSpace) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(12)]
