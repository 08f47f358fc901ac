"""Neural architecture search: spaces, algorithms, estimators, and the engines that run a search."""

from nas.algorithms import get_algorithm
from nas.architecture import Architecture
from nas.cost import Cost, network_cost
from nas.estimators import (
    CandidateFailed,
    CandidateScore,
    EstimatorData,
    estimator_data,
    make_estimator,
    score_candidate,
)
from nas.search import CandidateResult, Engine, Failure, Proposal, Search, SearchObserver
from nas.search_spaces import get_search_space, search_space_names, search_space_schema
from nas.search_spec import Constraints, NamedConfig, Objective, Resources, SearchSpec, validate_spec
from nas.serial_engine import SerialEngine

__all__ = [
    "Architecture",
    "CandidateFailed",
    "CandidateResult",
    "CandidateScore",
    "Constraints",
    "Cost",
    "Engine",
    "EstimatorData",
    "Failure",
    "NamedConfig",
    "Objective",
    "Proposal",
    "Resources",
    "Search",
    "SearchObserver",
    "SearchSpec",
    "SerialEngine",
    "estimator_data",
    "get_algorithm",
    "get_search_space",
    "make_estimator",
    "network_cost",
    "score_candidate",
    "search_space_names",
    "search_space_schema",
    "validate_spec",
]
