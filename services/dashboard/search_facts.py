"""What a search was asked for, in few words."""

from dataclasses import dataclass
from typing import Any

UNITS = {
    "max_params": "parameters",
    "max_flops": "FLOPs",
    "max_latency_ms": "ms latency",
    "max_seconds": "s",
    "max_candidate_seconds": "s a candidate",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was asked for: in words, which may leave some of it out, and as it was asked."""

    label: str
    text: str
    value: Any


def search_facts(request: dict[str, Any], *, whole: bool = False) -> list[Fact]:
    """From a search's request with its defaults filled in; `whole` options are not cut short."""
    times = {name: request.get(name) for name in ("max_seconds", "max_candidate_seconds")}
    limits = {**(request.get("constraints") or {}), **times}
    told = [_limit(name, value) for name, value in limits.items() if value is not None]
    resources = request.get("resources") or {}
    per_candidate = [resources.get("cpus_per_candidate", 1), resources.get("gpus_per_candidate", 0)]
    first = request.get("initial_architectures") or []
    at_a_time = request.get("max_concurrent")
    parts = ("search_space", "algorithm", "estimator")
    facts = [
        *(Fact(part.replace("_", " "), _named(request[part], whole), request[part]) for part in parts),
        Fact("first", f"{len(first)} given architecture{'s' * (len(first) != 1)}" if first else "", first),
        Fact("objectives", ", ".join(request.get("objectives", ())), request.get("objectives")),
        Fact("limits", ", ".join(told) or "none", limits),
        Fact("per candidate", "{:g} CPU, {:g} GPU".format(*per_candidate), per_candidate),
        Fact("at a time", f"at most {at_a_time}" if at_a_time else "", at_a_time),
        Fact("seed", str(request.get("seed", 0)), request.get("seed", 0)),
    ]
    return [fact for fact in facts if fact.text]


def _named(named: dict[str, Any], whole: bool) -> str:
    options = [
        f"{name.replace('_', ' ')} {value if whole else _cut(value)}"
        for name, value in named.items()
        if name != "name" and value is not None
    ]
    return str(named["name"]) + (f" ({', '.join(options)})" if options else "")


def _limit(name: str, value: float) -> str:
    return f"at most {value:,.12g} {UNITS.get(name, name)}"


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
