from .algorithms import get_algorithm
from .architecture import Architecture
from .candidates import CandidateResult, Failure, Proposal
from .cost import Cost, network_cost
from .estimators import (
    CandidateFailed,
    CandidateScore,
    EstimatorData,
    estimator_data,
    make_estimator,
    score_candidate,
)
from .named_config import NamedConfig
from .search import Engine, Search, SearchObserver
from .search_spaces import get_search_space
from .search_spec import Constraints, Objective, Resources, SearchSpec, validate_spec
from .serial_engine import SerialEngine, search_in_process

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
    "search_in_process",
    "validate_spec",
]
