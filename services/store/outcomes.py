"""The outcome of a candidate as the columns that hold it; what is not sound does not pass."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.errors import InvalidValueError
from services.lifecycle import CandidateState
from services.store.json_values import check_json
from services.store.records import JsonObject
from services.store.tables import MAX_INTEGER, METRIC_COLUMNS


def outcome_columns(
    metrics: Mapping[str, float] | None,
    loss_curve: Sequence[float] | None,
    error: JsonObject | None,
    reward: float | None,
) -> dict[str, Any]:
    """State, metrics, reward, loss curve and error of a candidate that ends; without a reward, the accuracy.

    Raises InvalidValueError unless there are either all metrics, finite, or an error.
    """
    if (metrics is None) == (error is None):
        raise InvalidValueError("a candidate ends with metrics or with an error: give exactly one of them")
    curve = None if loss_curve is None else list(loss_curve)
    check_json(curve, "loss_curve")
    if metrics is None:
        check_json(error, "error")
        return {"state": CandidateState.FAILED, "error": error, "loss_curve": curve}
    check_json(dict(metrics), "metrics")
    _require_numbers(metrics)
    extra = {name: value for name, value in metrics.items() if name not in METRIC_COLUMNS}
    columns = {name: metrics[name] for name in METRIC_COLUMNS}
    columns["reward"] = metrics["accuracy"] if reward is None else reward
    check_json(columns["reward"], "reward")
    return {"state": CandidateState.SUCCEEDED, "extra_metrics": extra, "loss_curve": curve, **columns}


def _require_numbers(metrics: Mapping[str, Any]) -> None:
    for name in METRIC_COLUMNS:
        value = metrics.get(name)
        whole = name in ("params", "flops")
        if type(value) is not int and (whole or not isinstance(value, float)):
            wanted = "whole number" if whole else "number"
            raise InvalidValueError(
                f"metrics.{name} is {value!r}; a succeeded candidate has a {wanted} there"
            )
        if whole and value < 0:
            raise InvalidValueError(f"metrics.{name} is {value}; no network has less than 0")
        if abs(value) > MAX_INTEGER:
            raise InvalidValueError(f"metrics.{name} is {value}; at most {MAX_INTEGER} can be stored")
