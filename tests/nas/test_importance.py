"""Effects of options on scores, against values worked out by hand and against SciPy."""

import numpy as np
import pytest
from scipy import stats

from nas.architecture import Architecture
from nas.choice_table import ChoiceTable, tabulate
from nas.importance import choice_importance
from nas.search_spaces.base import SearchSpace


def table(codes: list[list[int]], options: int = 3) -> ChoiceTable:
    names = [f"edge {column}" for column in range(len(codes[0]))]
    return ChoiceTable({name: tuple("abcdef"[:options]) for name in names}, np.array(codes, dtype=np.int16))


def test_means_counts_and_difference_by_hand() -> None:
    (edge,) = choice_importance(table([[0], [0], [1], [1], [1]]), np.array([0.2, 0.4, 0.6, 0.7, 0.8]))
    a, b, c = edge.options
    assert (a.option, a.n_with, a.n_without) == ("a", 2, 3)
    assert a.mean_with == pytest.approx(0.3)
    assert a.mean_without == pytest.approx(0.7)
    assert a.difference == pytest.approx(-0.4)
    assert b.difference == pytest.approx(0.4)
    assert (c.n_with, c.mean_with, c.difference, c.effect_size) == (0, None, None, None)
    # Pooled variance: (2 * 0.01 + 2 * 0.01) / 3 = 0.04 / 3; corrected by 1 - 3 / (4 * 3 - 1).
    assert a.effect_size == pytest.approx(-0.4 / (0.04 / 3) ** 0.5 * (1 - 3 / 11))


def test_explained_by_hand() -> None:
    """Squares around 0.54 sum to 0.232, within the options to 0.04, of which chance takes a third."""
    scores = np.array([0.2, 0.4, 0.6, 0.7, 0.8])
    (edge,) = choice_importance(table([[0], [0], [1], [1], [1]]), scores)
    assert edge.explained == pytest.approx((0.232 - 0.04 - 0.04 / 3) / 0.232)
    (less_than_chance,) = choice_importance(table([[0], [1], [0], [1]]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert less_than_chance.explained == 0
    (one_option,) = choice_importance(table([[2]] * 5), scores)
    assert one_option.explained is None


def test_the_interval_is_welchs() -> None:
    rng = np.random.default_rng(0)
    codes, scores = rng.integers(0, 2, (40, 1)), rng.normal(size=40)
    scores[codes[:, 0] == 0] *= 3
    effect = choice_importance(table(codes.tolist(), 2), scores)[0].options[0]
    expected = stats.ttest_ind(scores[codes[:, 0] == 0], scores[codes[:, 0] == 1], equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high))


def test_explained_is_all_nothing_or_between() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 3, (3000, 3))
    scores = codes[:, 0].astype(float) + (codes[:, 1] == 1) * rng.normal(0, 0.01, 3000)
    decides, spoils, unrelated = choice_importance(table(codes.tolist()), scores)
    assert decides.explained is not None
    assert unrelated.explained is not None
    assert decides.explained > 0.999
    assert unrelated.explained < 0.01
    assert spoils.explained is not None


def test_few_or_equal_values_have_no_statistic() -> None:
    (single,) = choice_importance(table([[0]]), np.array([0.5]))
    assert (single.n, single.explained, single.options[0].effect_size) == (1, None, None)
    (three,) = choice_importance(table([[0], [0], [1]]), np.array([0.2, 0.4, 0.9]))
    assert three.options[0].difference == pytest.approx(-0.6)
    assert three.options[0].effect_size is None, "an effect of 0 it is not"
    (equal,) = choice_importance(table([[0], [0], [1], [1]]), np.full(4, 0.5))
    assert equal.explained is None
    assert (equal.options[0].difference, equal.options[0].low) == (0.0, None)
    (none,) = choice_importance(ChoiceTable({"edge": ("a",)}, np.empty((0, 1), np.int16)), np.empty(0))
    assert (none.n, none.explained, none.options[0].mean_with) == (0, None, None)


def test_candidates_without_a_choice_do_not_count_for_it() -> None:
    (edge,) = choice_importance(table([[0], [-1], [1], [-1]]), np.array([1.0, 9.0, 2.0, 9.0]))
    assert edge.n == 2
    assert (edge.options[0].mean_with, edge.options[0].mean_without) == (1.0, 2.0)


def test_it_finds_what_the_truth_is_made_of(toy_space: SearchSpace) -> None:
    """In the toy space the score is the share of 3s: that option stands out at every place."""
    rng = np.random.default_rng(2)
    drawn = [toy_space.sample(rng) for _ in range(800)]
    scores = np.array([_truth(architecture) for architecture in drawn])
    for choice in choice_importance(tabulate(toy_space, drawn), scores):
        differences = {effect.option: effect.difference or 0.0 for effect in choice.options}
        assert max(differences, key=differences.__getitem__) == "3"
        assert differences["3"] == pytest.approx(1 / 6, abs=0.05)


def _truth(architecture: Architecture) -> float:
    return architecture.encoding.count("3") / len(architecture.encoding)
