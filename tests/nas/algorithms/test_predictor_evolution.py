from typing import Any

import numpy as np
import pytest

from nas.algorithms import get_algorithm, predictor_evolution
from nas.algorithms.predictor_evolution import _Ensemble
from nas.architecture import Architecture
from nas.ranking import spearman

Fits = list[tuple[list[float], int]]


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> Fits:
    """What each ensemble is fitted to from now on: the rewards, and its seed."""
    fits: Fits = []

    class Recorded(_Ensemble):
        def __init__(self, features: Any, rewards: Any, size: int, *, seed: int) -> None:
            fits.append((list(rewards), seed))
            super().__init__(features, rewards, size, seed=seed)

    monkeypatch.setattr(predictor_evolution, "_Ensemble", Recorded)
    return fits


def test_children_are_those_of_the_best(toy_space: Any) -> None:
    evolution = get_algorithm("predictor_evolution", toy_space, initial_samples=4, parents=1, pool_size=10)
    for encoding, reward in (("000000", 0.2), ("111111", 0.9), ("222222", 0.4), ("012301", 0.1)):
        evolution.tell(Architecture("toy", encoding), (reward,))
    evolution.ask(np.random.default_rng(0))
    assert evolution.parents == (Architecture("toy", "111111"),)  # type: ignore[attr-defined]


def test_what_was_told_is_not_proposed_again_even_if_it_failed(toy_space: Any) -> None:
    space = type(toy_space)(toy_space.Config(length=2))
    evolution = get_algorithm("predictor_evolution", space, initial_samples=4)
    for encoding in ("00", "01", "02", "03", "11", "12"):
        evolution.tell(Architecture("toy", encoding), (1.0,))
    for encoding in ("13", "22"):
        evolution.tell(Architecture("toy", encoding), None)
    proposals = [evolution.ask(np.random.default_rng(number)) for number in range(10)]
    assert {space.canonical_hash(each) for each in proposals} <= {"23", "33"}


def test_it_proposes_the_most_promising_that_the_constraints_admit(toy_space: Any) -> None:
    evolution = get_algorithm("predictor_evolution", toy_space, initial_samples=4, parents=1, pool_size=40)
    for encoding, reward in (("000000", 0.2), ("111111", 0.9), ("222222", 0.4), ("012301", 0.1)):
        evolution.tell(Architecture("toy", encoding), (reward,))
    free = evolution.ask(np.random.default_rng(0))
    evolution.constrain(lambda architecture: architecture != free)  # type: ignore[attr-defined]
    second = evolution.ask(np.random.default_rng(0))
    assert second != free
    evolution.constrain(lambda _: False)  # type: ignore[attr-defined]
    assert evolution.ask(np.random.default_rng(0)) == free  # the search looks for itself then


def test_it_is_fitted_anew_to_the_most_recent_and_the_best_of_the_others(
    toy_space: Any, monkeypatch: pytest.MonkeyPatch, fitted: Fits
) -> None:
    monkeypatch.setattr(predictor_evolution, "MAX_TRAINING", 4)
    evolution = get_algorithm("predictor_evolution", toy_space, initial_samples=6)
    rng = np.random.default_rng(0)
    for reward in (0.3, 0.9, 0.1, 0.7, 0.2, 0.4, 0.5):
        evolution.ask(rng)
        evolution.tell(toy_space.sample(rng), (reward,))
    evolution.ask(rng)
    evolution.ask(rng)
    known = [(sorted(rewards), seed) for rewards, seed in fitted]
    assert known == [([0.2, 0.4, 0.7, 0.9], 6), ([0.4, 0.5, 0.7, 0.9], 7)]


def test_much_is_fitted_to_less_often_and_alike_after_a_replay(
    toy_space: Any, monkeypatch: pytest.MonkeyPatch, fitted: Fits
) -> None:
    monkeypatch.setattr(predictor_evolution, "FITTED_PER_FIT", 2)
    told = [(toy_space.sample(np.random.default_rng(seed)), (seed / 10,)) for seed in range(9)]
    evolution = get_algorithm("predictor_evolution", toy_space, initial_samples=6)
    proposals = []
    for architecture, rewards in told:
        evolution.tell(architecture, rewards)
        proposals.append(evolution.ask(np.random.default_rng(7)))
    assert fitted == [([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], 6), ([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 8)]

    again = get_algorithm("predictor_evolution", toy_space, initial_samples=6)
    for architecture, rewards in told:
        again.tell(architecture, rewards)
    assert again.ask(np.random.default_rng(7)) == proposals[-1]
    assert fitted[2:] == fitted[1:2]


def test_the_ensemble_predicts_and_is_optimistic_where_its_models_differ() -> None:
    features = np.random.default_rng(0).integers(2, size=(80, 8)).astype(float)
    rewards = features @ np.arange(8.0)
    ensemble = _Ensemble(features[:60], rewards[:60], 5, seed=0)
    predicted = np.stack([model.predict(features[60:]) for model in ensemble._models])
    assert spearman(predicted.mean(axis=0), rewards[60:]) > 0.8
    assert (predicted.std(axis=0) > 0).all(), "each has its own resample"
    expected = predicted.mean(axis=0) + 2 * predicted.std(axis=0)
    assert ensemble.optimistic(features[60:], 2) == pytest.approx(expected)


def test_equal_rewards_have_equal_ranks() -> None:
    features = np.random.default_rng(0).integers(2, size=(20, 8)).astype(float)
    assert _Ensemble(features, np.ones(20), 5, seed=0).optimistic(features, 2) == pytest.approx(0)


def test_the_pool_has_mutants_twice_mutated_ones_and_crossovers(toy_space: Any) -> None:
    options = {"initial_samples": 4, "parents": 2, "pool_size": 100}
    evolution: Any = get_algorithm("predictor_evolution", toy_space, **options)
    for encoding, reward in (("000000", 0.8), ("333333", 0.9), ("222222", 0.4), ("012301", 0.1)):
        evolution.tell(Architecture("toy", encoding), (reward,))
    alone, crossed = set(), set()
    for child in evolution._pool(np.random.default_rng(0)):
        pairs = [zip(child.architecture.encoding, parent.encoding, strict=True) for parent in child.parents]
        distances = [sum(own != others for own, others in pair) for pair in pairs]
        (alone if len(distances) == 1 else crossed).add(min(distances))
    assert alone == {1, 2}
    assert {2, 3} <= crossed
