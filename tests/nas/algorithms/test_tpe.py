from typing import Any

import numpy as np

from nas.algorithms import get_algorithm


def proposals(toy_space: Any, told: int, *, good: str, **options: int) -> list[str]:
    """What follows on architectures of which those with many of a digit are good."""
    tpe, rng = get_algorithm("tpe", toy_space, **options), np.random.default_rng(0)
    for _ in range(told):
        architecture = toy_space.sample(rng)
        tpe.tell(architecture, (float(architecture.encoding.count(good)),))
    return [tpe.ask(np.random.default_rng(number)).encoding for number in range(20)]


def test_rewards_count_from_the_end_of_the_random_start(toy_space: Any) -> None:
    def differ(told: int) -> bool:
        options = {"startup_candidates": 12}
        return proposals(toy_space, told, good="3", **options) != proposals(
            toy_space, told, good="0", **options
        )

    assert not differ(11)
    assert differ(12)


def test_the_more_draws_the_more_of_what_is_good(toy_space: Any) -> None:
    def share(draws: int) -> float:
        found = proposals(toy_space, 40, good="3", expected_improvement_candidates=draws)
        return float(np.mean([encoding.count("3") for encoding in found]))

    assert share(64) > share(1)
