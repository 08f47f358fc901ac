"""Performance estimation strategies by name; other packages add theirs under `gtn_nas.estimators`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from nas.architecture import Architecture
from nas.estimators.base import CandidateFailed, CandidateScore, Estimator, EstimatorConfig, EstimatorData
from nas.estimators.brief_training import score_by_training
from nas.estimators.calibrated import Calibrated
from nas.estimators.ensemble import Ensemble
from nas.estimators.failures import failure_of
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
    config_base=EstimatorConfig,
)


def make_estimator(
    name: str, data: EstimatorData, *, device: str | torch.device = "cpu", **config: Any
) -> Estimator:
    """Make the named estimator; its data stay on the device for as long as it lives.

    Raises UnknownNameError, pydantic.ValidationError for a bad option, or DeviceError.
    """
    complete, on = estimator_config(name, **config), device
    if complete.needs_torch:
        import torch

        from gtn_core.precision import require_device

        require_device(device)
        on = torch.device(device)
    return ESTIMATORS.get(name)(data, complete, cast("torch.device", on))


def estimator_config(name: str, /, **options: Any) -> EstimatorConfig:
    """The named estimator's own configuration. Raises as `make_estimator` does."""
    return cast(EstimatorConfig, ESTIMATORS.config(name, **options))


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

    try:
        with torch.inference_mode(False):  # whatever the caller's is: inside, gradients are taken
            return score_by_training(space, architecture, curriculum, validation, seed=seed)
    except Exception as error:  # as in a search
        raise failure_of(error) from error


__all__ = [
    "ESTIMATORS",
    "CandidateFailed",
    "CandidateScore",
    "Estimator",
    "EstimatorData",
    "estimator_config",
    "estimator_data",
    "make_estimator",
    "score_candidate",
]
