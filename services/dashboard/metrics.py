"""How each metric is called and written on pages: a proxy accuracy is never just an accuracy."""

from typing import Any

from services.dashboard.formats import NOTHING, measure, percent, seconds, short

NAMES = {
    "score": "proxy score",
    "accuracy": "proxy accuracy",
    "loss": "loss",
    "params": "parameters",
    "flops": "FLOPs",
    "seconds": "scoring time",
    "latency_ms": "latency",
}


def metric_name(name: str) -> str:
    """What a metric is called."""
    return NAMES.get(name, name)


def metric(value: float | None, name: str) -> str:
    """A value of a metric, with its unit."""
    if value is None:
        return NOTHING
    match name:
        case "accuracy":
            return percent(value, 2)
        case "loss":
            return f"{measure(value)} nats"
        case "params":
            return short(value)
        case "flops":
            return short(value, "FLOPs")
        case "seconds":
            return seconds(value)
        case "latency_ms":
            return f"{measure(value, 2)} ms"
    return measure(value, 4)


def measured(metrics: Any, name: str) -> str:
    """The value of a candidate's metric, with its unit; candidates of other estimators may have none."""
    return metric(getattr(metrics, name, None), name)


def difference(value: float | None, name: str) -> str:
    """A difference between two values of a metric, with its sign; of percentages in percentage points."""
    if value is None:
        return NOTHING
    sign = "−" if value < 0 else "+"
    if name == "accuracy":
        return f"{sign}{100 * abs(value):.1f} pp"
    return f"{sign}{metric(abs(value), name)}"
