"""What a form would send, written as the commands that send the same."""

import json
import shlex
from collections.abc import Iterator
from typing import Any

_NAMED = {"search_space": "space", "algorithm": "algorithm", "estimator": "estimator"}
_OPTIONS = {
    "checkpoint_id": "checkpoint",
    "max_candidates": "candidates",
    "max_seconds": "max-seconds",
    "max_candidate_seconds": "max-candidate-seconds",
    "max_concurrent": "max-concurrent",
    "seed": "seed",
    "name": "name",
    "priority": "priority",
}
_GROUPS = ("constraints", "resources")
_BETWEEN = " \\\n  "


def curl_command(url: str, request: dict[str, Any], *, with_key: bool) -> str:
    """The request as `curl` sends it; the key comes from the environment, never from this page."""
    parts = [f"curl {shlex.quote(url + '/v1/searches')}", "-H 'Content-Type: application/json'"]
    if with_key:
        parts.append('-H "Authorization: Bearer $GTN_NAS_API_KEY"')
    parts.append(f"-d {shlex.quote(json.dumps(request, indent=2, ensure_ascii=False))}")
    return _BETWEEN.join(parts)


def search_command(url: str, request: dict[str, Any]) -> str | None:
    """The request as `gtn-nas search` sends it; None where it says what that command has no option for."""
    if not {*request} <= {*_NAMED, *_OPTIONS, *_GROUPS, "objectives", "initial_architectures"}:
        return None
    return _BETWEEN.join(["gtn-nas search", *_arguments(request), f"--url {shlex.quote(url)}", "--follow"])


def _arguments(request: dict[str, Any]) -> Iterator[str]:
    for key, option in _OPTIONS.items():
        if key in request and option in {"checkpoint", "name"}:
            yield _argument(option, request[key])
    for key, option in _NAMED.items():
        for name, value in request.get(key, {}).items():
            if name == "name":
                yield _argument(option, value)
            else:
                yield _argument(f"{option}-option", f"{name}={_text(value)}")
    for key, option in _OPTIONS.items():
        if key in request and option not in {"checkpoint", "name"}:
            yield _argument(option, request[key])
    for encoding in request.get("initial_architectures", ()):
        yield _argument("initial", encoding)
    for objective in request.get("objectives", ()):
        yield _argument("objective", objective)
    for group in _GROUPS:
        for name, value in request.get(group, {}).items():
            yield _argument(name.replace("_", "-"), value)


def _argument(option: str, value: Any) -> str:
    return f"--{option} {shlex.quote(_text(value))}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
