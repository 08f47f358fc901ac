"""The bookkeeping of a search: numbers, refusals, replays. No training, no Ray: milliseconds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.architecture import Architecture
from nas.candidates import CandidateResult, Failure, Proposal, rung_metric
from nas.choice_table import differences
from nas.estimators.base import CandidateScore
from nas.search import Search
from nas.search_spec import Constraints, SearchSpec

from .letter_search import ALGORITHMS, evaluated, make_search, make_spec, run


@pytest.fixture(autouse=True)
def _plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent / "plugin")


@pytest.mark.parametrize("seed", [0, 1])
def test_nsga2_inherits_choices_that_not_all_architectures_have(seed: int) -> None:
    spec = SearchSpec.model_validate(
        {
            "search_space": {"name": "resnet_macro"},
            "algorithm": {"name": "nsga2"},
            "max_candidates": 200,
            "seed": seed,
        }
    )
    search, found = Search(spec, (1, 8, 8), 10), []
    while (proposal := search.propose()) is not None:
        choices = search.space.choices(proposal.architecture)
        last = sum(made == search.space.domains[name][-1] for name, made in choices.items())
        found.append(last / len(search.space.domains))
        score = CandidateScore(found[-1], 1.0, (), 1, 1, 0.1, {})
        search.complete(CandidateResult(proposal, score=score))
    assert np.mean(found[-100:]) > 0.6  # 0.48 with what all architectures have in common alone


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=list(ALGORITHMS))
@pytest.mark.parametrize("killed_after", range(13))
@pytest.mark.parametrize("in_flight", [False, True], ids=["between candidates", "within a candidate"])
def test_a_killed_search_goes_on_as_if_nothing_had_happened(
    algorithm: dict[str, Any], killed_after: int, in_flight: bool
) -> None:
    spec = make_spec(algorithm=algorithm)
    uninterrupted = run(make_search(spec))
    assert len(uninterrupted) == 12

    killed, history = make_search(spec), []
    for _ in range(killed_after):
        proposal = killed.propose()
        assert proposal is not None
        history.append(evaluated(proposal))
        killed.complete(history[-1])
    cut_off = killed.propose() if in_flight else None

    replayed = make_search(spec, history, [cut_off] if cut_off else [])
    assert history + run(replayed) == uninterrupted
    assert replayed.finished


INITIAL = ["cccccc", "bbbbbb", "abcabc", "cbacba", "aaaaaa"]
"""The fourth is the third, in another order."""


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=list(ALGORITHMS))
@pytest.mark.parametrize("killed_after", range(8))
def test_given_architectures_come_first_also_in_a_search_that_was_killed(
    algorithm: dict[str, Any], killed_after: int
) -> None:
    spec = make_spec(algorithm=algorithm, initial_architectures=INITIAL)
    uninterrupted = run(make_search(spec))
    first = [result.proposal.architecture.encoding for result in uninterrupted[:5]]
    assert first[:4] == ["cccccc", "bbbbbb", "abcabc", "aaaaaa"]
    assert first[4] not in INITIAL
    assert [result.proposal.number for result in uninterrupted] == list(range(12))
    assert run(make_search(spec, uninterrupted[:killed_after])) == uninterrupted[killed_after:]


def test_the_algorithm_learns_from_given_architectures() -> None:
    algorithm = {"name": "regularized_evolution", "population_size": 2, "sample_size": 2}
    spec = make_spec(algorithm=algorithm, initial_architectures=["aaaaaa", "cccccc"])
    third = run(make_search(spec))[2].proposal
    assert third.parents == (1,)
    assert third.architecture.encoding.count("c") == 5


def test_given_architectures_beyond_a_constraint_are_left_out() -> None:
    spec = make_spec(
        initial_architectures=["cccccc", "abcabc"], constraints={"max_params": 100}, max_candidates=3
    )
    search = make_search(spec)
    assert run(search)[0].proposal.architecture.encoding == "abcabc"
    assert search.left_out == ("cccccc",)
    assert make_search(spec.model_copy(update={"constraints": Constraints()})).left_out == ()


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=list(ALGORITHMS))
def test_seeds_fix_the_candidates(algorithm: dict[str, Any]) -> None:
    def encodings(seed: int) -> list[str]:
        return [
            r.proposal.architecture.encoding
            for r in run(make_search(make_spec(algorithm=algorithm, seed=seed)))
        ]

    assert encodings(1) == encodings(1) != encodings(2)


def test_candidate_n_is_drawn_from_the_seed_and_n() -> None:
    search = make_search(make_spec(seed=3))
    drawn = [search.space.sample(np.random.default_rng([3, number])) for number in range(3)]
    proposals = [result.proposal.architecture for result in run(search)]
    assert proposals[:3] == drawn


def test_evolution_learns_from_rewards_and_random_search_does_not() -> None:
    """Candidates after the first population depend on what was told, and only where the algorithm listens."""

    def encodings(algorithm: str, sign: int) -> list[str]:
        search = make_search(make_spec(algorithm=ALGORITHMS[algorithm]))
        seen = []
        while (proposal := search.propose()) is not None:
            reward = sign * proposal.architecture.encoding.count("c") / 6
            search.complete(CandidateResult(proposal, CandidateScore(reward, -reward, (), 5, 7, 0.1, {})))
            seen.append(proposal.architecture.encoding)
        return seen

    assert encodings("random_search", +1) == encodings("random_search", -1)
    assert encodings("regularized_evolution", +1)[:4] == encodings("regularized_evolution", -1)[:4]
    assert encodings("regularized_evolution", +1) != encodings("regularized_evolution", -1)


def test_the_first_objective_is_the_reward_in_its_own_direction() -> None:
    """Evolution that minimises the loss makes the choices of one that maximises accuracy = 1 - loss."""
    evolution = ALGORITHMS["regularized_evolution"]
    by_accuracy = run(make_search(make_spec(algorithm=evolution, objectives=["accuracy", "params"])))
    by_loss = run(make_search(make_spec(algorithm=evolution, objectives=["loss", "params"])))
    assert [r.proposal for r in by_loss] == [r.proposal for r in by_accuracy]


def test_all_candidates_have_the_search_s_seed_and_numbers_count_up() -> None:
    proposals = [result.proposal for result in run(make_search(make_spec(seed=7)))]
    assert [proposal.number for proposal in proposals] == list(range(12))
    assert {proposal.seed for proposal in proposals} == {7}


def test_no_architecture_is_proposed_twice_not_even_with_its_letters_in_another_order() -> None:
    hashes = [result.proposal.canonical_hash for result in run(make_search(make_spec()))]
    assert len(set(hashes)) == len(hashes) == 12


def test_a_small_space_is_searched_to_its_end_and_then_exhausted() -> None:
    """Words of two letters over abc, in any order: aa, ab, ac, bb, bc, cc."""
    search = make_search(make_spec(search_space={"name": "letters", "length": 2}, max_candidates=100))
    assert not search.finished
    hashes = [result.proposal.canonical_hash for result in run(search)]
    assert sorted(hashes) == ["aa", "ab", "ac", "bb", "bc", "cc"]
    assert search.finished
    assert search.exhausted is not None
    assert "after 6 candidates" in search.exhausted
    assert search.propose() is None


def test_exhaustion_waits_for_what_is_in_flight() -> None:
    search = make_search(make_spec(search_space={"name": "letters", "length": 1}, max_candidates=100))
    proposals = [search.propose() for _ in range(3)]
    assert search.propose() is None
    assert not search.finished
    for proposal in proposals:
        assert proposal is not None
        search.complete(evaluated(proposal))
    assert search.finished


def test_a_failed_candidate_counts_against_the_budget_and_is_not_proposed_again() -> None:
    results = run(make_search(make_spec()))
    assert sum(result.failure is not None for result in results) == 2
    assert len(results) == 12


def test_what_was_in_flight_comes_first_with_its_number_and_the_gap_is_closed_after() -> None:
    first = make_search(make_spec())
    a, b, c, d = (first.propose() for _ in range(4))
    assert a is not None
    assert b is not None
    assert d is not None
    rebuilt = make_search(make_spec(), [evaluated(a)], [d, b])
    assert [rebuilt.propose(), rebuilt.propose()] == [b, d]
    assert rebuilt.propose() == c  # number 2 was lost before it was recorded


def test_a_result_is_taken_once() -> None:
    search = make_search(make_spec())
    proposal = search.propose()
    assert proposal is not None
    search.complete(evaluated(proposal))
    with pytest.raises(ValueError, match="candidate 0 is not in flight"):
        search.complete(evaluated(proposal))


def test_a_result_is_a_score_or_a_failure() -> None:
    proposal = Proposal(3, Architecture("letters", "abcabc"), "aabbcc", 0)
    with pytest.raises(ValueError, match="candidate 3 needs either"):
        CandidateResult(proposal)


def test_every_objective_is_rewarded_in_its_own_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    search, told = make_search(make_spec(objectives=["loss", "accuracy", "params"])), []
    monkeypatch.setattr(search.algorithm, "tell", lambda architecture, rewards: told.append(rewards))
    for accuracy in (0.25, None):
        proposal = search.propose()
        assert proposal is not None
        if accuracy is None:
            search.complete(CandidateResult(proposal, failure=Failure("error", "")))
        else:
            search.complete(CandidateResult(proposal, CandidateScore(accuracy, 2.0, (), 5, 7, 0.1, {})))
    assert told == [[-2.0, 0.25, -5.0], None]


def test_nsga2_finds_more_of_the_front_than_random_search() -> None:
    """One objective wants every "c", the other every "a": on the front are the 13 words without a "b"."""
    letters = {"search_space": {"name": "letters", "length": 12}, "max_candidates": 60}

    def found(algorithm: dict[str, Any], seed: int) -> int:
        search = make_search(
            make_spec(**letters, algorithm=algorithm, objectives=["accuracy", "loss"], seed=seed)
        )
        words = []
        while (proposal := search.propose()) is not None:
            word = proposal.canonical_hash
            words.append(word)
            score = CandidateScore(word.count("c") / 12, 1 - word.count("a") / 12, (), 5, 7, 0.1, {})
            search.complete(CandidateResult(proposal, score))
        return sum("b" not in word for word in words)

    seeds = range(3)  # 23 and 11
    evolved = sum(found({"name": "nsga2", "population_size": 10}, seed) for seed in seeds)
    drawn = sum(found({"name": "random_search"}, seed) for seed in seeds)
    assert evolved >= 1.5 * drawn


RUNGS = {"algorithm": {"name": "successive_halving", "reduction_factor": 2, "rungs": 3}}


def run_in_rungs(search: Search, count: int = 10**9, *, failing: Sequence[int] = ()) -> list[CandidateResult]:
    """Evaluate as an engine does; the reward at every rung is the share of "c".

    Of the `failing` those that go on after their first rung fail before the second.
    """
    results: list[CandidateResult] = []
    while len(results) < count and (proposal := search.propose()) is not None:
        accuracy, extra = proposal.architecture.encoding.count("c") / 6, {}
        for rung, share in enumerate(search.shares):
            extra |= {"depth": share}
            if share < 1:
                extra |= {rung_metric(rung): accuracy}
            score = CandidateScore(accuracy, 1 - accuracy, (), 5, 7, 0.1, dict(extra))
            result = CandidateResult(proposal, score, rung=rung if share < 1 else None)
            if not search.goes_on(result):
                break
            if proposal.number in failing:
                result = CandidateResult(proposal, failure=Failure("non-finite", "as arranged"))
                break
        results.append(search.ended(result))
        search.complete(results[-1])
    return results


def test_candidates_stop_at_the_rung_where_they_are_not_among_the_best() -> None:
    search = make_search(make_spec(**RUNGS))
    assert search.shares == (0.25, 0.5, 1.0)
    results = run_in_rungs(search)
    depths = [result.score.extra["depth"] for result in results if result.score]
    assert depths[0] == 1.0, "nothing to compare the first one with"
    accuracies = [result.score.accuracy for result in results if result.score]
    for number, (accuracy, depth) in enumerate(zip(accuracies, depths, strict=True)):
        went_on = accuracy >= float(np.median(accuracies[: number + 1]))
        assert (depth > 0.25) == went_on
    assert set(depths) >= {0.25, 1.0}


@pytest.mark.parametrize("killed_after", range(12))
@pytest.mark.parametrize("failing", [(), (0, 2, 3, 5)], ids=["all succeed", "some fail further on"])
def test_rungs_are_replayed_from_the_record(killed_after: int, failing: Sequence[int]) -> None:
    spec = make_spec(**RUNGS)
    uninterrupted = run_in_rungs(make_search(spec), failing=failing)
    assert any(result.failure for result in uninterrupted) == bool(failing)
    killed = make_search(spec)
    history = run_in_rungs(killed, killed_after, failing=failing)
    cut_off = killed.propose()
    assert cut_off is not None
    replayed = make_search(spec, history, [cut_off])
    assert history + run_in_rungs(replayed, failing=failing) == uninterrupted


def test_a_candidate_whose_worker_died_is_judged_at_its_rungs_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Told twice, its reward would count for two."""
    search, told = make_search(make_spec(**RUNGS)), []

    def goes_on(rung: int, reward: float) -> bool:
        told.append((rung, reward))
        return len(told) == 1

    monkeypatch.setattr(search.algorithm, "goes_on", goes_on)
    proposal = search.propose()
    assert proposal is not None
    extra = {rung_metric(0): 0.5, rung_metric(1): 0.25}
    score = CandidateScore(0.5, 1.0, (), 5, 7, 0.1, extra)
    first, second = (CandidateResult(proposal, score, rung=rung) for rung in (0, 1))
    assert [search.goes_on(each) for each in (first, first, second)] == [True, True, False]
    assert told == [(0, 0.5), (1, 0.25)]
    lost = search.ended(CandidateResult(proposal, failure=Failure("worker lost", "")))
    assert lost.failure == Failure("worker lost", "", rewards_at_rungs=(0.5, 0.25))


def test_a_known_score_is_recalled_unless_it_would_not_be_the_same() -> None:
    def recall(proposal: Proposal) -> CandidateResult | None:
        known = evaluated(proposal) if proposal.number % 2 else None
        return known and replace(known, notes={"reused_from": "other-3"})

    search = make_search(make_spec(), recall=recall)
    first, second = search.propose(), search.propose()
    assert first is not None
    assert second is not None
    assert search.recall(first) is None
    known = search.recall(second)
    assert known is not None
    assert known.notes == {"reused_from": "other-3"}
    for changes in (RUNGS, *({"objectives": ["accuracy", time]} for time in ("latency_ms", "seconds"))):
        assert make_search(make_spec(**changes), recall=recall).recall(second) is None


def test_children_name_the_candidates_they_were_made_from() -> None:
    results = run(make_search(make_spec(algorithm=ALGORITHMS["regularized_evolution"])))
    proposals = [result.proposal for result in results]
    space = make_search(make_spec()).space
    assert [each.parents for each in proposals[:4]] == [()] * 4, "the first population has none"
    children = [each for each in proposals if each.parents]
    assert children
    for child in children:
        (parent,) = child.parents
        assert parent < child.number
        assert len(differences(space, proposals[parent].architecture, child.architecture)) == 1


def test_random_search_has_no_lineage() -> None:
    assert not any(result.proposal.parents for result in run(make_search(make_spec())))
