from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from nas.algorithms import get_algorithm


@pytest.mark.parametrize("name", ["tpe", "nsga2"])
def test_asking_compares_choices_with_what_was_told_since(
    name: str, toy_space: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not with all that was ever told: of 1000 in nasnet_micro that took a second."""
    algorithm, compared = get_algorithm(name, toy_space), 0
    equal = CategoricalDistribution.__eq__

    def count(self: CategoricalDistribution, other: object) -> bool:
        nonlocal compared
        compared += 1
        return equal(self, other)

    monkeypatch.setattr(CategoricalDistribution, "__eq__", count)
    for number in range(60):
        compared = 0
        architecture = algorithm.ask(np.random.default_rng(number))
        algorithm.tell(architecture, (toy_space.truth(architecture),))
    assert compared <= 5 * len(toy_space.domains)
