"""New architectures under constraints, and where algorithms repeat themselves."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.architecture import Architecture
from nas.candidates import CandidateResult, Failure
from nas.choice_table import differences
from nas.constraint_check import ConstraintCheck
from nas.estimators.base import CandidateScore
from nas.proposals import MAX_MISFITS_ASKED
from nas.registry import PluginError
from nas.search import Search
from nas.search_spec import SearchSpec

from .letter_search import ALGORITHMS, evaluated, make_search, make_spec, run


@pytest.fixture(autouse=True)
def _plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent / "plugin")


def test_constraints_are_checked_before_any_training() -> None:
    """A word with n "c" has a hidden layer of 1 + n units: 17 (1 + n) + 3 (1 + n) + 3 parameters."""
    spec = make_spec(constraints={"max_params": 17 * 2 + 3 * 2 + 3}, max_candidates=100)
    words = [result.proposal.canonical_hash for result in run(make_search(spec))]
    # Of the 28 multisets of six letters, 7 have no c and 6 have one.
    assert len(words) == 13
    assert {word.count("c") for word in words} == {0, 1}


def insisting(search: Search, architecture: Architecture) -> list[Architecture]:
    """Makes the search's algorithm propose one architecture for ever; the list grows with every time."""
    asked: list[Architecture] = []

    def ask(_rng: np.random.Generator) -> Architecture:
        asked.append(architecture)
        return architecture

    search.algorithm.ask = ask  # type: ignore[method-assign]
    return asked


class OfAPlugin:
    """An algorithm that a test completes."""

    name = "of_a_plugin"
    config = None

    def ask(self, _rng: np.random.Generator) -> Any:
        return Architecture("letters", "abcabc")

    def tell(self, _architecture: Architecture, _rewards: object) -> None: ...


@pytest.mark.parametrize("answer", [None, "abcabc", Architecture("nasbench201", "abcabc")])
def test_what_is_no_architecture_of_the_space_is_told_of_its_algorithm(answer: object) -> None:
    search = make_search(make_spec())
    search.algorithm = algorithm = OfAPlugin()  # type: ignore[assignment]
    algorithm.ask = lambda _rng: answer  # type: ignore[method-assign]
    with pytest.raises(PluginError, match=r"'of_a_plugin': its `ask` returned .*; expected an Arch"):
        search.propose()


@pytest.mark.parametrize("method", ["ask", "tell"])
def test_what_a_plugin_s_algorithm_raises_is_told_of_it(method: str) -> None:
    def broken(*_given: object) -> None:
        raise KeyError("oops")

    search = make_search(make_spec())
    search.algorithm = algorithm = OfAPlugin()  # type: ignore[assignment]
    setattr(algorithm, method, broken)
    with pytest.raises(PluginError, match=rf"'of_a_plugin': its `{method}` raised KeyError\('oops'\)"):
        run(search)


def test_an_algorithm_of_a_plugin_stops_with_its_search() -> None:
    class Curious(OfAPlugin):
        def constrain(self, is_admitted: Any) -> None:
            self.is_admitted = is_admitted

        def ask(self, rng: np.random.Generator) -> Any:
            architecture = super().ask(rng)
            with suppress(Exception):
                self.is_admitted(architecture)
            return architecture

    search = make_search(make_spec())
    search.algorithm = algorithm = Curious()  # type: ignore[assignment]
    algorithm.constrain(search._is_admitted)
    assert search.propose(lambda: True) is None
    assert search.propose() is not None


def test_an_algorithm_that_insists_on_a_misfit_is_not_asked_for_long() -> None:
    search = make_search(make_spec(constraints={"max_params": 17 * 2 + 3 * 2 + 3}))
    asked = insisting(search, search.space.parse("cccccc"))
    proposal = search.propose()
    assert proposal is not None
    assert proposal.architecture.encoding.count("c") <= 1
    assert len(asked) == MAX_MISFITS_ASKED


def test_where_an_algorithm_repeats_itself_the_search_begins_elsewhere() -> None:
    """Local search does while all neighbours of its place are in flight."""
    search = make_search(make_spec(search_space={"name": "letters", "length": 32}))
    first = search.propose()
    assert first is not None
    insisting(search, first.architecture)
    others = [search.propose() for _ in range(5)]
    far = [differences(search.space, first.architecture, each.architecture) for each in others if each]
    assert len(far) == 5
    assert min(map(len, far)) > 5  # draws, not neighbours


def test_impossible_constraints_exhaust_the_space_at_once() -> None:
    search = make_search(make_spec(constraints={"max_flops": 1}))
    assert search.propose() is None
    assert search.finished
    assert search.exhausted is not None
    assert "28 others violate the constraints (max_flops=1)" in search.exhausted


TIGHT = {"search_space": {"name": "letters", "length": 32}, "constraints": {"max_params": 17 * 2 + 3 * 2 + 3}}
"""At most one "c": 65 of 561 multisets, but one of 25 000 words."""


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=list(ALGORITHMS))
def test_what_hardly_anything_fits_is_found_by_steps_towards_it(algorithm: dict[str, Any]) -> None:
    search = make_search(make_spec(**TIGHT, algorithm=algorithm))
    words = [result.proposal.canonical_hash for result in run(search)]
    assert search.exhausted is None
    assert len(set(words)) == 12
    assert {word.count("c") for word in words} <= {0, 1}


def test_nearly_all_that_fits_is_found_before_the_search_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """78 of the 2,860 networks of NAS-Bench-201 have no convolution in their cells."""
    monkeypatch.setattr(
        ConstraintCheck, "_measured", lambda _, architecture: float(architecture.encoding.count("nor_conv"))
    )
    constraints = {"max_params": 1}
    spec = SearchSpec.model_validate({"seed": 3, "constraints": constraints, "max_candidates": 200})
    search = Search(spec, (3, 32, 32), 10)
    number = 0
    while (proposal := search.propose()) is not None:
        search.complete(CandidateResult(proposal, failure=Failure("error", "not looked at")))
        number += 1
    assert search.exhausted is not None
    assert number > 70


@pytest.mark.parametrize("killed_after", [0, 1, 7])
@pytest.mark.parametrize("algorithm", ["regularized_evolution", "local_search"])
def test_steps_towards_the_constraints_are_replayed(algorithm: str, killed_after: int) -> None:
    spec = make_spec(**TIGHT, algorithm=ALGORITHMS[algorithm])
    uninterrupted = run(make_search(spec))
    assert len(uninterrupted) == 12
    history = uninterrupted[:killed_after]
    assert history + run(make_search(spec, history)) == uninterrupted


def test_whoever_looks_for_a_candidate_can_be_stopped_and_finds_it_later() -> None:
    search = make_search(spec := make_spec(**TIGHT))
    asked = []

    def should_stop() -> bool:
        asked.append(len(asked))
        return len(asked) % 10 == 0

    found = [search.propose(should_stop) or search.propose() for _ in range(12)]
    assert len(asked) == 120, "each was stopped once"
    assert found == [result.proposal for result in run(make_search(spec))]


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=list(ALGORITHMS))
def test_whoever_is_stopped_again_and_again_finds_the_same(algorithm: dict[str, Any]) -> None:
    spec = make_spec(constraints={"max_params": 17 * 2 + 3 * 2 + 3}, algorithm=algorithm, max_candidates=9)
    search, results = make_search(spec), []
    while not search.finished:
        for patience in range(12):
            asked = iter(range(2**patience))
            if (proposal := search.propose(lambda asked=asked: next(asked, None) is None)) is not None:
                results.append(evaluated(proposal))
                search.complete(results[-1])
                break
    assert results == run(make_search(spec))


def test_local_search_looks_at_the_cost_of_one_architecture_between_two_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A move has hundreds of neighbours, and each look takes up to a tenth of a second."""
    search = make_search(make_spec(**TIGHT, algorithm=ALGORITHMS["local_search"]))
    build, looks, most, moves = search.space.build, 0, 0, 0

    def looked_at(*arguments: Any, **keywords: Any) -> Any:
        nonlocal looks, most
        looks += 1
        most = max(most, looks)
        return build(*arguments, **keywords)

    def should_stop() -> bool:
        nonlocal looks
        looks = 0
        return False

    monkeypatch.setattr(search.space, "build", looked_at)
    while (proposal := search.propose(should_stop)) is not None:
        moves, looks = moves + bool(proposal.parents), 0
        search.complete(evaluated(proposal))
    assert moves >= 5
    assert most == 1


def test_an_architecture_whose_cost_is_unknown_is_left_to_fail_its_evaluation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = make_search(make_spec(constraints={"max_params": 1}))

    def build(architecture: Architecture, **_: Any) -> None:
        raise ZeroDivisionError(f"{architecture.encoding} cannot be built")

    monkeypatch.setattr(search.space, "build", build)
    assert len(run(search)) == 12


def test_local_search_climbs_among_what_the_constraints_admit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A neighbour that is refused is never told of: whoever waits for it has climbed for the last time."""

    def excess(_: ConstraintCheck, architecture: Architecture) -> float:
        weights = 9 * architecture.encoding.count("conv_3x3") + architecture.encoding.count("conv_1x1")
        return max(0.0, weights - 12)

    monkeypatch.setattr(ConstraintCheck, "_measured", excess)
    spec = SearchSpec.model_validate(
        {
            "search_space": {"name": "nasbench201", "channels": 2, "cells_per_stage": 1},
            "algorithm": {"name": "local_search"},
            "constraints": {"max_params": 1},
            "max_candidates": 80,
        }
    )
    search = Search(spec, (1, 8, 8), 10)
    centres = set()
    while (proposal := search.propose()) is not None:
        centres.add(proposal.parents)
        encoding = proposal.architecture.encoding
        accuracy = sum(weight * encoding.count(name) for name, weight in WEIGHTS.items()) / 20
        search.complete(CandidateResult(proposal, score=CandidateScore(accuracy, 1.0, (), 1, 1, 0.1, {})))
    assert len(centres) > 8  # 4 before neighbours were looked at


WEIGHTS = {"conv_1x1": 2, "conv_3x3": 3, "none": -1, "skip": 1}
