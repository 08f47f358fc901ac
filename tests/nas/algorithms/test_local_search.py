from typing import Any

import numpy as np
import pytest

from nas.algorithms import get_algorithm
from nas.algorithms.base import ConstrainedAlgorithm
from nas.architecture import Architecture


def toy(encoding: str) -> Architecture:
    return Architecture("toy", encoding)


def test_a_move_asks_of_no_more_neighbours_than_it_takes_to_find_one(toy_space: Any) -> None:
    """It has 18."""
    search, asked = get_algorithm("local_search", toy_space, initial_samples=1), []

    def is_admitted(architecture: Architecture) -> bool:
        asked.append(architecture)
        return True

    assert isinstance(search, ConstrainedAlgorithm)
    search.constrain(is_admitted)
    search.tell(toy("012012"), (0.1,))
    assert asked == [], "what is told waits until somebody asks"
    for number in range(5):
        neighbour = search.ask(np.random.default_rng(number))
        assert asked[-1] == neighbour
        search.tell(neighbour, (0.2 + number,))
    assert len(asked) <= 10


def test_it_leaves_when_all_neighbours_that_are_admitted_are_evaluated(toy_space: Any) -> None:
    search = get_algorithm("local_search", toy_space, initial_samples=1)
    assert isinstance(search, ConstrainedAlgorithm)
    search.constrain(lambda architecture: architecture.encoding.startswith("01201"))
    search.tell(toy("012012"), (0.9,))
    found = []
    for number in range(3):
        found.append(search.ask(np.random.default_rng(number)))
        search.tell(found[-1], (0.1,))
    assert {each.encoding for each in found} == {"012010", "012011", "012013"}
    assert search.ask(np.random.default_rng(3)) == toy_space.sample(np.random.default_rng(3))


def test_it_moves_to_the_best_of_all_neighbours_where_it_is_not_to_move_at_once(toy_space: Any) -> None:
    space = type(toy_space)(toy_space.Config(length=2))
    search = get_algorithm("local_search", space, initial_samples=1, move_at_once=False)
    search.tell(toy("00"), (0.1,))
    rewards = {"01": 0.2, "02": 0.4, "03": 0.3}  # all there are but for their reverses
    for number in range(3):
        neighbour = search.ask(np.random.default_rng(number))
        assert search.parents == (toy("00"),)
        search.tell(neighbour, (rewards[space.canonical_hash(neighbour)],))
    search.ask(np.random.default_rng(3))
    assert [space.canonical_hash(parent) for parent in search.parents] == ["02"]


def test_the_best_of_the_first_samples_is_the_first_start_and_later_starts_are_single(toy_space: Any) -> None:
    space = type(toy_space)(toy_space.Config(length=2))
    search = get_algorithm("local_search", space, initial_samples=4)
    for encoding, rewards in (("00", (0.2,)), ("11", (0.9,)), ("22", None), ("33", (0.4,))):
        search.tell(toy(encoding), rewards)
    for number in range(3):
        neighbour = search.ask(np.random.default_rng(number))
        assert search.parents == (toy("11"),)
        search.tell(neighbour, (0.1,))
    search.ask(np.random.default_rng(3))
    assert search.parents == ()
    search.tell(toy("02"), (0.3,))
    search.ask(np.random.default_rng(4))
    assert search.parents == (toy("02"),), "worse than where it came from, and a start all the same"


@pytest.mark.parametrize("move_at_once", [True, False])
def test_it_stays_until_no_neighbour_is_better(toy_space: Any, move_at_once: bool) -> None:
    """Step by step what the paper says, in a space of 40 of which many are equally good."""
    space = type(toy_space)(toy_space.Config(length=3))
    search = get_algorithm("local_search", space, initial_samples=1, move_at_once=move_at_once)
    rewards: dict[str, float] = {}
    current: str | None = None
    moves = 0
    for number in range(30):
        while current and (around := _around(space, current)) <= rewards.keys():
            best = max(around, key=lambda each: (rewards[each], each))
            current = best if rewards[best] > rewards[current] else None
            moves += 1
        proposal = search.ask(np.random.default_rng(number))
        proposed = space.canonical_hash(proposal)
        assert [space.canonical_hash(parent) for parent in search.parents] == ([current] if current else [])
        assert current is None or proposed in _around(space, current) - rewards.keys()
        rewards.setdefault(proposed, float(np.random.default_rng(number).integers(6)))
        search.tell(proposal, (rewards[proposed],))
        if current is None or (move_at_once and rewards[proposed] > rewards[current]):
            current = proposed
    assert moves > 1


def _around(space: Any, canonical: str) -> set[str]:
    return {space.canonical_hash(each) for each in space.neighbours(toy(canonical))}
