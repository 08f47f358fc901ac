"""Requests to the dashboard of a Ray cluster's head: whoever asks needs neither Ray nor a node of it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from services.errors import ClusterUnavailableError
from services.proxies import route_to

T = TypeVar("T")

_HINTS = {401: "set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH", 403: "the token is not the cluster's"}


class UnknownToRayError(ClusterUnavailableError):
    """The dashboard answers that there is no such thing."""


def ask_ray(
    url: str,
    method: str,
    path: str,
    read: Callable[[Any], T],
    *,
    body: Mapping[str, Any] | None = None,
    parameters: Mapping[str, str] | None = None,
    timeout_seconds: float,
) -> T:
    """What `read` makes of the JSON that the dashboard at `url` answers.

    Raises UnknownToRayError for an answer of 404, ClusterUnavailableError when the dashboard does not answer,
    refuses, or is none: a proxy's login page, for instance, is what `read` cannot make anything of.
    """
    try:
        answer = httpx2.request(
            method,
            f"{url.rstrip('/')}{path}",
            json=body,
            params=parameters,
            headers=_credentials(),
            timeout=timeout_seconds,
            **route_to(url),
        )
    except (httpx2.HTTPError, OSError) as error:
        raise ClusterUnavailableError(f"Ray at {url} does not answer: {error}") from error
    if not answer.is_success:
        kind = UnknownToRayError if answer.status_code == 404 else ClusterUnavailableError
        reason = _HINTS.get(answer.status_code) or answer.text.strip().rpartition("\n")[2][:500]
        raise kind(f"Ray at {url} answers {method} {path} with {answer.status_code}: {reason}")
    try:
        return read(answer.json())
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ClusterUnavailableError(
            f"what answers at {url} is no Ray dashboard that is known here: {method} {path} gives {error!r}"
        ) from error


def _credentials() -> dict[str, str]:
    """What a cluster under token authentication asks for, from the variables that Ray itself reads.

    Raises OSError when the file that RAY_AUTH_TOKEN_PATH names cannot be read.
    """
    token = os.environ.get("RAY_AUTH_TOKEN")
    if not token and (path := os.environ.get("RAY_AUTH_TOKEN_PATH")):
        token = Path(path).read_text().strip()
    return {"Authorization": f"Bearer {token}"} if token else {}
