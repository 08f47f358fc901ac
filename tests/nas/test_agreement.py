import numpy as np
import pytest

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
