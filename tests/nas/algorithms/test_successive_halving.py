from typing import Any

import pytest

from nas.algorithms import get_algorithm


def test_a_third_of_those_that_reach_a_rung_goes_on(toy_space: Any) -> None:
    halving = get_algorithm("successive_halving", toy_space)
    assert halving.shares == pytest.approx((1 / 9, 1 / 3, 1))
    # What has to be reached, a third from the top: 0.5, 0.467, 0.533, 0.5 and 0.567.
    judged = [halving.goes_on(0, reward) for reward in (0.5, 0.4, 0.6, 0.45, 0.6)]
    assert judged == [True, False, True, False, True]
    assert halving.goes_on(1, 0.1), "the first at its rung, whatever the rung before has seen"
    assert [halving.goes_on(1, reward) for reward in (0.0, 0.08)] == [False, False], "nor does one in two"
