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


def test_parents_are_the_front_over_all_objectives(toy_space: Any) -> None:
    """Without crossover and mutation a child is its parent, and a step away from it because that is known."""
    options = {"population_size": 2, "crossover_probability": 0, "mutation_probability": 0}
    evolution = get_algorithm("nsga2", toy_space, **options)
    for encoding, told in (("333333", (1, 0)), ("111111", (0.5, -1)), ("000000", (0, 1)), ("222222", (0, 0))):
        evolution.tell(Architecture("toy", encoding), told)
    children = [evolution.ask(np.random.default_rng(number)).encoding for number in range(20)]
    assert {max(child.count(digit) for digit in "03") for child in children} == {5}
    assert {max("03", key=child.count) for child in children} == {"0", "3"}


def test_a_generation_is_as_many_as_the_population(toy_space: Any) -> None:
    evolution = get_algorithm("nsga2", toy_space, population_size=3)
    generations = [value for number in range(7) for value in evolution.told_attributes(number).values()]
    assert generations == [0, 0, 0, 1, 1, 1, 2]
