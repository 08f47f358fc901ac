from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from nas.algorithms import get_algorithm
from nas.architecture import Architecture


def rng(number: int = 0) -> np.random.Generator:
    return np.random.default_rng(number)


def toy(encoding: str) -> Architecture:
    return Architecture("toy", encoding)


def distance(first: Architecture, second: Architecture) -> int:
    return sum(a != b for a, b in zip(first.encoding, second.encoding, strict=True))


def test_random_until_the_population_is_full(toy_space: Any) -> None:
    evolution = get_algorithm("regularized_evolution", toy_space, population_size=3, sample_size=3)
    for number, encoding in enumerate(("000000", "111111")):
        evolution.tell(toy(encoding), (1.0,))
        assert evolution.ask(rng(number)) == toy_space.sample(rng(number))
    evolution.tell(toy("222222"), (0.5,))
    assert min(distance(evolution.ask(rng(2)), toy(other)) for other in ("000000", "111111")) == 1


def test_parent_is_the_best_of_the_sample(toy_space: Any) -> None:
    """With a sample of the whole population the parent is its best member."""
    evolution = get_algorithm("regularized_evolution", toy_space, population_size=3, sample_size=3)
    for encoding, reward in (("000000", 0.2), ("111111", 0.9), ("222222", 0.4)):
        evolution.tell(toy(encoding), (reward,))
    assert {distance(evolution.ask(rng(number)), toy("111111")) for number in range(20)} == {1}


def test_tournament_of_one_draws_every_member(toy_space: Any) -> None:
    evolution = get_algorithm("regularized_evolution", toy_space, population_size=3, sample_size=1)
    members = [toy("000000"), toy("111111"), toy("222222")]
    for member, reward in zip(members, (0.2, 0.9, 0.4), strict=True):
        evolution.tell(member, (reward,))
    proposals = [evolution.ask(rng(number)) for number in range(60)]
    parents = [next(member for member in members if distance(each, member) == 1) for each in proposals]
    assert all(10 <= parents.count(member) <= 30 for member in members)


def test_the_oldest_leaves_however_good(toy_space: Any) -> None:
    evolution = get_algorithm("regularized_evolution", toy_space, population_size=2, sample_size=2)
    for encoding, reward in (("111111", 0.9), ("000000", 0.1), ("222222", 0.2)):
        evolution.tell(toy(encoding), (reward,))
    assert {distance(evolution.ask(rng(number)), toy("222222")) for number in range(20)} == {1}


def test_a_failed_candidate_neither_joins_nor_ages_others(toy_space: Any) -> None:
    evolution = get_algorithm("regularized_evolution", toy_space, population_size=2, sample_size=2)
    evolution.tell(toy("111111"), (0.9,))
    evolution.tell(toy("333333"), None)
    assert evolution.ask(rng()) == toy_space.sample(rng()), "a failure must not fill the population"
    evolution.tell(toy("000000"), (0.1,))
    for _ in range(5):
        evolution.tell(toy("333333"), None)
    assert {distance(evolution.ask(rng(number)), toy("111111")) for number in range(20)} == {1}


def test_beats_random_search_at_equal_budget(toy_space: Any) -> None:
    """Share of 3s among 16 digits: of 300 the best drawn has about 0.6, the best evolved 0.9."""
    space = type(toy_space)(toy_space.Config(length=16))

    def best(name: str, seed: int) -> float:
        algorithm, rewards = get_algorithm(name, space), []
        for number in range(300):
            architecture = algorithm.ask(np.random.default_rng([seed, number]))
            rewards.append(space.truth(architecture))
            algorithm.tell(architecture, (rewards[-1],))
        return max(rewards)

    evolved = [best("regularized_evolution", seed) for seed in range(10)]
    drawn = [best("random_search", seed) for seed in range(10)]
    assert min(evolved) > max(drawn)
    assert np.mean(evolved) - np.mean(drawn) > 0.15


@pytest.mark.parametrize(
    "options", [{"population_size": 1}, {"sample_size": 0}, {"population_size": 4, "sample_size": 5}]
)
def test_sizes_that_make_no_sense(toy_space: Any, options: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=r"population_size|sample_size"):
        get_algorithm("regularized_evolution", toy_space, **options)
