"""From exceptions to problems: what the framework, the method and the store raise, each as its own type."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from gtn_core.errors import (
    CheckpointError,
    DatasetError,
    ExportError,
    GtnNasError,
    InvalidArchitectureError,
    UnknownNameError,
)
from services import errors
from services.controller.events import NothingMore
from services.controller.problems import (
    BY_STATUS,
    CONFLICT,
    DISK_FULL,
    IDEMPOTENCY_CONFLICT,
    INTERNAL,
    INVALID_REQUEST,
    NEEDS_PYTORCH,
    NOT_FOUND,
    NOT_JSON,
    TOO_MANY_REQUESTS,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    ProblemType,
    invalid,
    invalid_field,
    presentable,
    problem_response,
)
from services.schemas import FieldProblem

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def install_error_handlers(app: FastAPI) -> None:
    """Answer errors with problem details: HTTPException is for `page_not_found`, what nobody expects for the
    middleware (500)."""
    app.add_exception_handler(Problem, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(GtnNasError, _answer)
    app.add_exception_handler(ModuleNotFoundError, _answer)
    app.add_exception_handler(OSError, _answer)
    app.add_exception_handler(NothingMore, lambda _, __: Response(status_code=204))


def _answer(request: Request, error: Exception) -> Response:
    return problem_response(problem_of(request, error), request.url.path)


def problem_of(request: Request, error: Exception) -> Problem:
    """What an error is to the client. Raises the error itself when nobody expected it."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _of_validation(request, error)
        case HTTPException():
            return _of_status(request, error)
        case GtnNasError():
            return _of_domain(error)
        case OSError() if errors.is_disk_full(error):
            return Problem(
                DISK_FULL,
                f"what was to be stored found no room: {error.strerror}",
                remedy="make room in GTN_NAS_DATA_DIR, or where GTN_NAS_ARTIFACTS_URL points, and try again",
            )
        case ModuleNotFoundError(name="torch"):
            return Problem(
                NEEDS_PYTORCH,
                "this needs PyTorch, which the controller is installed without",
                remedy="install torch beside it, or do it where the package is complete: see docs/cluster.md",
            )
        case _:
            raise error


def _of_validation(request: Request, error: RequestValidationError) -> Problem:
    """A body that is not JSON is another problem than one that is and says the wrong thing."""
    failures = error.errors()
    if failures[0]["type"] == "json_invalid":
        position = failures[0]["loc"][-1]
        reason = failures[0]["ctx"]["error"]
        return Problem(NOT_JSON, f"the body is not JSON: {reason} at character {position}")
    if isinstance(error.body, bytes) and any(tuple(failure["loc"]) == ("body",) for failure in failures):
        given = request.headers.get("content-type", "none")
        return Problem(
            UNSUPPORTED_MEDIA_TYPE,
            f"the body has the content type {given!r}, not application/json",
            remedy="send JSON, with the header Content-Type: application/json",
        )
    return invalid(*field_problems(failures, skip=1))


def field_problems(
    failures: Sequence[Any], *, prefix: tuple[str, ...] = (), skip: int = 0
) -> list[FieldProblem]:
    """Pydantic's findings, field by field: `prefix`, then each location without its first `skip` parts."""
    return [
        FieldProblem(
            # What holds between fields has no place of its own: it is the body's.
            field=".".join(map(str, (*prefix, *failure["loc"][skip:]))) or "body",
            message=errors.in_own_words(failure["msg"]),
            # For a field that is missing, pydantic gives the object that lacks it: nothing was given.
            given=None if failure["type"] == "missing" else presentable(failure.get("input")),
        )
        for failure in failures
        if not _follows(failure, failures)
    ]


def _follows(failure: Any, failures: Sequence[Any]) -> bool:
    """Whether it says no more than others: a list is too short since what stands in it was refused."""
    place = failure["loc"]
    inside = (each["loc"][: len(place)] == place and each["loc"] != place for each in failures)
    return failure["type"] == "too_short" and any(inside)


def _of_status(request: Request, error: HTTPException) -> Problem:
    problem_type = BY_STATUS.get(error.status_code) or ProblemType("http", error.status_code, error.detail)
    detail = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.url.path} does not have the method {request.method}",
    }.get(error.status_code, str(error.detail))
    headers = {"Allow": _allowed_methods(request)} if error.status_code == 405 else error.headers
    return Problem(problem_type, detail, headers=headers)


def _allowed_methods(request: Request) -> str:
    """The methods of a path. Starlette names only those of the first route that has the path."""
    routes = request.app.router.routes

    def exists(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in routes)

    return ", ".join(method for method in METHODS if exists(method))


def _of_domain(error: GtnNasError) -> Problem:
    match error:
        case errors.NotFoundError():
            return Problem(NOT_FOUND, str(error))
        case errors.ConflictError():
            return Problem(CONFLICT, str(error))
        case errors.IdempotencyConflictError():
            return Problem(IDEMPOTENCY_CONFLICT, str(error), remedy="send a new Idempotency-Key")
        case errors.InvalidCursorError():
            return invalid_field("cursor", str(error), expected="a next_cursor of the same list and order")
        case InvalidArchitectureError():  # requests are checked where they arrive: this one was stored
            return Problem(
                CONFLICT,
                f"a stored architecture is none of its search space as it is here: {error}",
                remedy="install the version of the search space that proposed it",
            )
        case ExportError():
            return invalid_field("format", str(error))
        case errors.StoreUnavailableError() | errors.SchemaMismatchError():
            return Problem(UNAVAILABLE, str(error), headers={"Retry-After": "5"})
        case errors.BusyError():
            return Problem(TOO_MANY_REQUESTS, str(error), headers={"Retry-After": "10"})
        case errors.InvalidValueError() | UnknownNameError() | DatasetError() | CheckpointError():
            return Problem(INVALID_REQUEST, str(error))
        case _:
            return Problem(INTERNAL, str(error))
