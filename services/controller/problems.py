"""Every error of the API as problem details (RFC 9457): one problem type per kind of error, named here.

A problem's `type` is a stable URN; clients may branch on it. `detail` is for people and may change.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.responses import Response

from services.errors import problem_urn
from services.redaction import redact
from services.schemas import FieldProblem, ProblemDetails

MEDIA_TYPE = "application/problem+json"
LONGEST_GIVEN = 200
"""Characters of a refused value that are told back."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of error: its slug (the stable part of the URN), its status, and its title."""

    slug: str
    status: int
    title: str

    @property
    def urn(self) -> str:
        """The problem's `type`."""
        return problem_urn(self.slug)


NOT_JSON = ProblemType("not-json", HTTPStatus.BAD_REQUEST, "The body is not JSON")
BAD_REQUEST = ProblemType("bad-request", HTTPStatus.BAD_REQUEST, "The request cannot be read")
UNAUTHORIZED = ProblemType("unauthorized", HTTPStatus.UNAUTHORIZED, "A valid API key is needed")
FORBIDDEN = ProblemType("forbidden", HTTPStatus.FORBIDDEN, "This is not allowed")
NOT_FOUND = ProblemType("not-found", HTTPStatus.NOT_FOUND, "There is no such thing")
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, "The resource does not have this method"
)
CONFLICT = ProblemType("conflict", HTTPStatus.CONFLICT, "The present state forbids it")
TOO_LARGE = ProblemType("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large")
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    "unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body has the wrong media type"
)
INVALID_REQUEST = ProblemType("invalid-request", HTTPStatus.UNPROCESSABLE_ENTITY, "The request is not valid")
IDEMPOTENCY_CONFLICT = ProblemType(
    "idempotency-conflict",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "The idempotency key was used for another request",
)
TOO_MANY_REQUESTS = ProblemType("too-many-requests", HTTPStatus.TOO_MANY_REQUESTS, "Requests come too fast")
INTERNAL = ProblemType("internal", HTTPStatus.INTERNAL_SERVER_ERROR, "The controller failed")
NEEDS_PYTORCH = ProblemType(
    "needs-pytorch", HTTPStatus.NOT_IMPLEMENTED, "This controller is installed without PyTorch"
)
UNAVAILABLE = ProblemType(
    "unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "Something the controller needs does not answer"
)
DISK_FULL = ProblemType("disk-full", HTTPStatus.INSUFFICIENT_STORAGE, "The controller's disk is full")

PROBLEM_TYPES = (
    NOT_JSON,
    BAD_REQUEST,
    UNAUTHORIZED,
    FORBIDDEN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    CONFLICT,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    IDEMPOTENCY_CONFLICT,
    INVALID_REQUEST,
    TOO_MANY_REQUESTS,
    INTERNAL,
    NEEDS_PYTORCH,
    UNAVAILABLE,
    DISK_FULL,
)
"""All of them; where several share a status, the most general is the last."""

BY_STATUS = {problem.status: problem for problem in PROBLEM_TYPES}
"""The problem type of an error that is known by its status alone."""


class Problem(Exception):  # noqa: N818 - the RFC's word
    """Raised by an endpoint or a dependency to answer with problem details."""

    def __init__(
        self,
        problem_type: ProblemType,
        detail: str,
        *,
        errors: list[FieldProblem] | None = None,
        remedy: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.type, self.detail, self.errors = problem_type, detail, errors or []
        self.remedy, self.headers = remedy, headers


def invalid(*errors: FieldProblem) -> Problem:
    """A request that is refused because of these fields."""
    return Problem(INVALID_REQUEST, "; ".join(map(str, errors)), errors=list(errors))


def invalid_field(field: str, message: str, given: Any = None, expected: str | None = None) -> Problem:
    """A request that is refused because of one field."""
    return invalid(FieldProblem(field=field, message=message, given=presentable(given), expected=expected))


def problem_response(problem: Problem, instance: str) -> Response:
    """The answer; `instance` is the path of the request."""
    details = ProblemDetails(
        type=problem.type.urn,
        title=problem.type.title,
        status=problem.type.status,
        detail=redact(problem.detail),  # errors of databases and stores come with addresses
        instance=instance,
        errors=problem.errors,
        remedy=problem.remedy,
    )
    # ASCII with escapes: a request may have held half of a surrogate pair, which UTF-8 cannot carry.
    content = json.dumps(details.model_dump(exclude_none=True), allow_nan=False)
    return Response(content, int(problem.type.status), dict(problem.headers or {}), MEDIA_TYPE)


def presentable(value: Any) -> Any:
    """A refused value, fit to be told back: JSON, and short whatever was sent."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if len(value) <= LONGEST_GIVEN else value[:LONGEST_GIVEN] + "…"
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):  # NaN, bytes, a set: not JSON
        return presentable(str(value))
    return json.loads(text) if len(text) <= LONGEST_GIVEN else text[:LONGEST_GIVEN] + "…"
