"""Performance estimation strategies by name; other packages add theirs under `gtn_nas.estimators`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from nas.architecture import Architecture
from nas.estimators.base import CandidateFailed, CandidateScore, Estimator, EstimatorData
from nas.estimators.brief_training import score_by_training
from nas.estimators.calibrated import Calibrated
from nas.estimators.ensemble import Ensemble
from nas.estimators.gtn import GTN
from nas.estimators.gtn_then_real import GTNThenReal
from nas.estimators.real_data import RealData
from nas.estimators.resident_data import estimator_data
from nas.estimators.zero_cost import ZeroCost
from nas.registry import Registry
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    import torch

    from gtn_core.curriculum import SyntheticCurriculum
    from gtn_core.data import Split

ESTIMATORS: Registry[Callable[[EstimatorData, Any, torch.device], Estimator]] = Registry(
    kind="estimator",
    group="gtn_nas.estimators",
    built_in=(GTN, GTNThenReal, RealData, ZeroCost, Ensemble, Calibrated),
)


def make_estimator(
    name: str, data: EstimatorData, *, device: str | torch.device = "cpu", **config: Any
) -> Estimator:
    """Make the named estimator; its data stay on the device for as long as it lives.

    Raises UnknownNameError, pydantic.ValidationError for a bad option, or DeviceError.
    """
    on: Any = device
    if needs_torch(name):
        import torch

        from gtn_core.precision import require_device

        require_device(device)
        on = torch.device(device)
    return ESTIMATORS.get(name)(data, ESTIMATORS.config(name, **config), on)


def needs_torch(name: str) -> bool:
    """Whether the named estimator uses PyTorch, as all do that do not say otherwise.

    One with the class attribute `needs_torch = False` is spared its import: 150 MB and two seconds a worker.
    """
    return bool(getattr(ESTIMATORS.get(name), "needs_torch", True))


def trains(config: BaseModel) -> bool:
    """Whether an estimator of this configuration trains candidates, as all do that do not say otherwise."""
    return bool(getattr(config, "trains", True))


def needs_train_data(name: str, config: BaseModel) -> bool:
    """Whether real training data must be shipped to the named estimator, as to all that do not say otherwise.

    Where that depends on its configuration, the configuration tells.
    """
    return bool(_told(name, config, "needs_train_data", otherwise=True))


def ranked_by(name: str, config: BaseModel) -> Any:
    """The objective of the named estimator's searches where nobody says: its score, unless it says otherwise.

    Where that depends on its configuration, the configuration tells.
    """
    return _told(name, config, "ranked_by", otherwise="score")


def _told(name: str, config: BaseModel, attribute: str, *, otherwise: Any) -> Any:
    """What the configuration says of the named estimator, else its class."""
    return getattr(config, attribute, getattr(ESTIMATORS.get(name), attribute, otherwise))


def check_fit(config: BaseModel, space: SearchSpace) -> None:
    """Whether an estimator of this configuration can look at architectures of the space, if it can tell.

    Raises pydantic.ValidationError, located at the option at fault.
    """
    check = getattr(config, "check", None)
    if check is not None:
        check(space)


def score_candidate(
    space: SearchSpace,
    architecture: Architecture,
    curriculum: SyntheticCurriculum,
    validation: Split,
    seed: int = 0,
) -> CandidateScore:
    """The GTN score of one architecture, on the device of the curriculum and the validation data.

    Equal to what a search with this seed measures. Raises CandidateFailed.
    """
    import torch

    with torch.inference_mode(False):  # whatever the caller's is: inside, gradients are taken
        return score_by_training(space, architecture, curriculum, validation, seed=seed)


__all__ = [
    "ESTIMATORS",
    "CandidateFailed",
    "CandidateScore",
    "Estimator",
    "EstimatorData",
    "check_fit",
    "estimator_data",
    "make_estimator",
    "needs_torch",
    "needs_train_data",
    "ranked_by",
    "score_candidate",
    "trains",
]
