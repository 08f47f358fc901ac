import numpy as np
import pytest

from nas import agreement as module
from nas.agreement import agreement


def test_an_interval_leaves_a_fortieth_of_the_resamples_out_on_either_side() -> None:
    """Against Bonett and Wright (2000): rho's standard error after Fisher's transformation."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(400)
    proxy = 0.8 * truth + 0.6 * rng.standard_normal(400)
    found = agreement(proxy, truth, seed=1, resamples=400).spearman
    middle = np.arctanh(found.value)
    reach = 1.96 * np.sqrt((1 + found.value**2 / 2) / 397)
    assert np.arctanh(found.low) == pytest.approx(middle - reach, abs=0.015)
    assert np.arctanh(found.high) == pytest.approx(middle + reach, abs=0.015)
    assert agreement(proxy, truth, seed=2, resamples=400).spearman.low != found.low


def test_each_statistic_has_its_own_interval_over_the_resamples_that_define_it() -> None:
    """Of the resamples a third has the single 1 not: they have no order, which is not one of 0."""
    found = agreement(np.array([0.0, 0.0, 0.0, 1.0]), np.arange(4.0), seed=0, resamples=200)
    assert found.spearman.value == pytest.approx(0.6**0.5)
    assert found.kendall.value == pytest.approx(0.5**0.5)
    assert 0.5 < found.kendall.low < found.spearman.low < found.spearman.high == pytest.approx(1)


def test_without_an_order_there_is_no_statistic_and_no_interval() -> None:
    for proxy in (np.empty(0), np.ones(3)):
        found = agreement(proxy, np.arange(float(len(proxy))), seed=0, resamples=20)
        assert found.kendall.to_json() == {"value": None, "low": None, "high": None}


def test_resamples_of_few_candidates_are_looked_at_at_once_and_give_what_single_ones_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(8, size=30).astype(float)  # many are equal
    for proxy in (truth + rng.integers(8, size=30), np.where(truth == 3, np.nan, truth)):
        at_once = agreement(proxy, truth, seed=1, resamples=50).to_json()
        with monkeypatch.context() as patched:
            patched.setattr(module, "MOST_AT_ONCE", 1)
            single = agreement(proxy, truth, seed=1, resamples=50).to_json()
        for statistic in ("spearman", "kendall"):
            assert at_once[statistic] == pytest.approx(single[statistic], nan_ok=True)
