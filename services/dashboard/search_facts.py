"""What a search was asked for, in few words."""

from collections.abc import Sequence
from typing import Any

UNITS = {"max_params": "parameters", "max_flops": "FLOPs", "max_latency_ms": "ms latency", "max_seconds": "s"}


def search_facts(request: dict[str, Any]) -> list[tuple[str, str]]:
    """Labels and texts, from a search's request with its defaults filled in."""
    limits = {**(request.get("constraints") or {}), "max_seconds": request.get("max_seconds")}
    resources = request.get("resources") or {}
    return [
        *(
            (part.replace("_", " "), _named(request[part]))
            for part in ("search_space", "algorithm", "estimator")
        ),
        *_initial(request.get("initial_architectures", ())),
        ("objectives", ", ".join(request.get("objectives", ()))),
        (
            "limits",
            ", ".join(_limit(name, value) for name, value in limits.items() if value is not None) or "none",
        ),
        (
            "per candidate",
            f"{resources.get('cpus_per_candidate', 1):g} CPU, {resources.get('gpus_per_candidate', 0):g} GPU",
        ),
        ("seed", str(request.get("seed", 0))),
    ]


def _initial(encodings: Sequence[str]) -> list[tuple[str, str]]:
    return [("first", f"{len(encodings)} given architectures")] if encodings else []


def _named(named: dict[str, Any]) -> str:
    options = [
        f"{name.replace('_', ' ')} {_plain(value)}"
        for name, value in named.items()
        if name != "name" and value is not None
    ]
    return str(named["name"]) + (f" ({', '.join(options)})" if options else "")


def _limit(name: str, value: float) -> str:
    return f"at most {value:,g} {UNITS.get(name, name)}"


def _plain(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
