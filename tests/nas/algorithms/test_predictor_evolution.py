from typing import Any

import numpy as np

from nas.algorithms import get_algorithm
from nas.architecture import Architecture


def test_children_are_those_of_the_best(toy_space: Any) -> None:
    evolution = get_algorithm("predictor_evolution", toy_space, initial_samples=4, parents=1, pool_size=10)
    for encoding, reward in (("000000", 0.2), ("111111", 0.9), ("222222", 0.4), ("012301", 0.1)):
        evolution.tell(Architecture("toy", encoding), (reward,))
    evolution.ask(np.random.default_rng(0))
    assert evolution.parents == (Architecture("toy", "111111"),)  # type: ignore[attr-defined]
