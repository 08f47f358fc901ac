"""Search algorithms by name."""

from collections.abc import Callable
from typing import Any

from nas.algorithms.base import SearchAlgorithm
from nas.algorithms.local_search import LocalSearch
from nas.algorithms.nsga2 import NSGA2
from nas.algorithms.predictor_evolution import PredictorEvolution
from nas.algorithms.random_search import RandomSearch
from nas.algorithms.regularized_evolution import RegularizedEvolution
from nas.algorithms.successive_halving import SuccessiveHalving
from nas.algorithms.tpe import TPE
from nas.registry import Registry
from nas.search_spaces.base import SearchSpace

ALGORITHMS: Registry[Callable[[SearchSpace, Any], SearchAlgorithm]] = Registry(
    "algorithm",
    "gtn_nas.algorithms",
    (
        RandomSearch,
        RegularizedEvolution,
        LocalSearch,
        PredictorEvolution,
        TPE,
        NSGA2,
        SuccessiveHalving,
    ),
)


def get_algorithm(name: str, space: SearchSpace, **config: Any) -> SearchAlgorithm:
    """A fresh algorithm over `space`. Raises UnknownNameError, or pydantic.ValidationError for its config."""
    options = ALGORITHMS.config(name, **config)
    with ALGORITHMS.faults_of(name, "__init__"):
        return ALGORITHMS.get(name)(space, options)


__all__ = ["ALGORITHMS", "SearchAlgorithm", "get_algorithm"]
