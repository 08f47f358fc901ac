from typing import Any

import numpy as np

from nas.algorithms import get_algorithm
from nas.architecture import Architecture


def rewards(architecture: Architecture) -> tuple[float, float]:
    """Many candidates are equally good: which of them are parents is then a matter of order."""
    return architecture.encoding.count("3"), architecture.encoding.count("1")


def search(algorithm: Any, numbers: range) -> list[Architecture]:
    proposals = []
    for number in numbers:
        proposals.append(algorithm.ask(np.random.default_rng([2, number])))
        algorithm.tell(proposals[-1], rewards(proposals[-1]))
    return proposals


def test_a_replay_of_many_generations_goes_on_with_the_same_parents(toy_space: Any) -> None:
    whole = search(get_algorithm("nsga2", toy_space, population_size=6), range(42))
    resumed = get_algorithm("nsga2", toy_space, population_size=6)
    for architecture in whole[:30]:
        resumed.tell(architecture, rewards(architecture))
    assert search(resumed, range(30, 42)) == whole[30:]
