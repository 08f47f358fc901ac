"""What a search works for, and how it scores, as its request says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.schemas.analysis import Metric


def first_objective(request: Mapping[str, Any]) -> "Metric":
    """What a search's algorithm heeds, and what its candidates are ranked by; accuracy for other jobs."""
    objective: Metric = (request.get("objectives") or ["accuracy"])[0]
    return objective


def scoring_conditions(request: Mapping[str, Any], *, seeded: bool = True) -> dict[str, Any]:
    """What the scores of a search depend on: only those of equal conditions can be compared.

    With `seeded=False` what they depend on beside chance, which is also what they cost.
    """
    parts = ("checkpoint_id", "search_space", "estimator", *(["seed"] if seeded else []))
    on_gpus = bool(request.get("resources", {}).get("gpus_per_candidate"))  # which round otherwise
    conditions = {"on_gpus": on_gpus, **{part: request.get(part) for part in parts}}
    estimator = request.get("estimator") or {}
    return conditions | ({"estimator": _complete(estimator)} if "members" in estimator else {})


def _complete(estimator: dict[str, Any]) -> dict[str, Any]:
    """An estimator with all the options of its members, which requests of earlier versions leave out."""
    from pydantic import ValidationError

    from gtn_core.errors import GtnNasError
    from nas.estimators import estimator_config

    options = {key: value for key, value in estimator.items() if key != "name"}
    try:
        config = estimator_config(estimator["name"], **options)
        return {"name": estimator["name"], **config.model_dump(mode="json")}
    except (GtnNasError, ValidationError):  # a plugin that is gone, or that has other options by now
        return estimator
