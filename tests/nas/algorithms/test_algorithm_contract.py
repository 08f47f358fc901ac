"""What holds for every registered search algorithm."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from gtn_core.errors import UnknownNameError
from nas.algorithms import ALGORITHMS, get_algorithm
from nas.algorithms.base import LineageAlgorithm, SearchAlgorithm
from nas.architecture import Architecture

Told = list[tuple[Architecture, float | None]]

pytestmark = pytest.mark.parametrize("name", ALGORITHMS.names())


def search(
    algorithm: SearchAlgorithm, space: Any, numbers: Sequence[int], *, failing: int = 7, seed: int = 0
) -> Told:
    """Ask and tell for candidates `numbers`; every `failing`-th evaluation fails."""
    told: Told = []
    for number in numbers:
        architecture = algorithm.ask(np.random.default_rng([seed, number]))
        reward = None if number % failing == failing - 1 else space.truth(architecture)
        algorithm.tell(architecture, None if reward is None else (reward,))
        told.append((architecture, reward))
    return told


def test_obeys_the_protocol(name: str, toy_space: Any) -> None:
    algorithm = get_algorithm(name, toy_space)
    assert isinstance(algorithm, SearchAlgorithm)
    assert algorithm.name == name
    assert isinstance(algorithm.config, ALGORITHMS.get(name).Config)
    assert ALGORITHMS.description(name)


def test_proposals_belong_to_the_space(name: str, toy_space: Any) -> None:
    for architecture, _ in search(get_algorithm(name, toy_space), toy_space, range(60)):
        assert toy_space.parse(architecture.encoding) == architecture


def test_parents_are_told_architectures_or_none(name: str, toy_space: Any) -> None:
    algorithm = get_algorithm(name, toy_space)
    assert isinstance(algorithm, LineageAlgorithm) == (
        name in ("regularized_evolution", "local_search", "predictor_evolution")
    )
    if not isinstance(algorithm, LineageAlgorithm):
        return
    told, with_parents = set(), 0
    for number in range(80):
        architecture = algorithm.ask(np.random.default_rng([0, number]))
        assert set(map(toy_space.canonical_hash, algorithm.parents)) <= told
        with_parents += bool(algorithm.parents)
        algorithm.tell(architecture, (toy_space.truth(architecture),))
        told.add(toy_space.canonical_hash(architecture))
    assert 0 < with_parents < 80


def test_same_generators_give_the_same_proposals(name: str, toy_space: Any) -> None:
    first, second, other = (
        search(get_algorithm(name, toy_space), toy_space, range(60), seed=seed) for seed in (5, 5, 6)
    )
    assert first == second
    assert first != other


@pytest.mark.xdist_group("algorithms in a fresh process")  # one for all
def test_a_fresh_process_gives_the_same_proposals(
    name: str, toy_space: Any, fresh_process: dict[str, Any]
) -> None:
    here = search(get_algorithm(name, toy_space), toy_space, range(60))
    assert [architecture.encoding for architecture, _ in here] == fresh_process[name]


def test_what_it_is_told_makes_its_proposals_better(name: str, toy_space: Any) -> None:
    """Of 8 digits a quarter are 3s in random draws, and half or more of what learners propose."""
    space = type(toy_space)(toy_space.Config(length=8))
    told = search(get_algorithm(name, space), space, range(80))
    late = np.mean([reward for _, reward in told[-20:] if reward is not None])
    learns = name not in ("random_search", "successive_halving")
    assert (late > 0.4) == learns


def test_failed_evaluations_are_survived(name: str, toy_space: Any) -> None:
    told = search(get_algorithm(name, toy_space), toy_space, range(60), failing=1)
    assert len(told) == 60
    assert {reward for _, reward in told} == {None}


def test_replayed_history_continues_as_the_uninterrupted_search(name: str, toy_space: Any) -> None:
    uninterrupted = search(get_algorithm(name, toy_space), toy_space, range(80))
    resumed = get_algorithm(name, toy_space)
    for architecture, reward in uninterrupted[:45]:
        resumed.tell(architecture, None if reward is None else (reward,))
    assert search(resumed, toy_space, range(45, 80)) == uninterrupted[45:]


def test_asking_again_changes_nothing(name: str, toy_space: Any) -> None:
    """A refused proposal is asked anew from the same generator; the algorithm keeps no trace of it."""
    asked_often, asked_once = get_algorithm(name, toy_space), get_algorithm(name, toy_space)
    for number in range(40):
        refused = np.random.default_rng([1, number])
        for _ in range(3):
            asked_often.ask(refused)
        search(asked_often, toy_space, [number])
        search(asked_once, toy_space, [number])
    rng = np.random.default_rng(9), np.random.default_rng(9)
    assert asked_often.ask(rng[0]) == asked_once.ask(rng[1])


def test_unknown_options_and_names_are_refused(name: str, toy_space: Any) -> None:
    with pytest.raises(ValidationError, match="no_such_option"):
        get_algorithm(name, toy_space, no_such_option=1)
    with pytest.raises(UnknownNameError, match=f"unknown algorithm 'x{name}'; known: .*{name}"):
        get_algorithm(f"x{name}", toy_space)


def test_config_is_frozen_and_has_a_schema(name: str, toy_space: Any) -> None:
    config = get_algorithm(name, toy_space).config
    assert isinstance(config, BaseModel)
    assert config.model_config.get("frozen") is True
    assert ALGORITHMS.schema(name)["additionalProperties"] is False


@pytest.fixture(scope="module")
def fresh_process() -> dict[str, Any]:
    """Encodings proposed by each algorithm in one other process."""
    script = """
import json, runpy, sys
space = runpy.run_path(sys.argv[1])["ToySpace"]()
contract = runpy.run_path(sys.argv[2])
told = {
    name: contract["search"](contract["get_algorithm"](name, space), space, range(60))
    for name in contract["ALGORITHMS"].names()
}
print(json.dumps({name: [architecture.encoding for architecture, _ in each] for name, each in told.items()}))
"""
    files = [str(Path(__file__).parents[1] / "conftest.py"), __file__]
    run = subprocess.run([sys.executable, "-c", script, *files], capture_output=True, text=True, check=True)
    encodings: dict[str, Any] = json.loads(run.stdout)
    return encodings
