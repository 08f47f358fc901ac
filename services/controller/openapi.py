"""The OpenAPI document: what FastAPI derives, with the answers as they really are, and with examples.

A client can be generated from it, so operation ids and the names of schemas are part of the API: they stay.
"""

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from services.controller.limits import UPLOAD_PATH
from services.controller.openapi_examples import ANSWERS
from services.controller.problems import MEDIA_TYPE, PROBLEM_TYPES, ProblemType
from services.schemas import EventView, FieldProblem, ProblemDetails

TAGS = [
    {"name": "meta-trainings", "description": "From a data set to a frozen checkpoint."},
    {"name": "checkpoints", "description": "Frozen GTNs, addressed by their content."},
    {"name": "searches", "description": "From a checkpoint to ranked architectures."},
    {"name": "candidates", "description": "Architectures: rank, retrain, export."},
    {"name": "final trainings", "description": "Candidates on real data, with their test accuracy."},
    {"name": "fidelity reports", "description": "How well estimators rank architectures."},
    {"name": "catalogue", "description": "What can be asked for."},
    {"name": "system", "description": "Cluster, health, metrics."},
]
DESCRIPTION = """
Errors are problem details (RFC 9457), `application/problem+json`. Lists are pages: ask for the next one with
`cursor`. A POST that creates something can be repeated safely with an `Idempotency-Key`. Event streams are
server-sent events, resumable with `Last-Event-ID`. Within `/v1` only additions are made.
"""
_ITS_ID, _FIRST_ID = "$response.body#/id", "$response.body#/items/0/id"
LINKS = {
    ("create_meta_training", "201"): ("meta_training_id", _ITS_ID),
    ("list_meta_trainings", "200"): ("meta_training_id", _FIRST_ID),
    ("create_checkpoint", "201"): ("checkpoint_id", _ITS_ID),
    ("list_checkpoints", "200"): ("checkpoint_id", _FIRST_ID),
    ("create_search", "201"): ("search_id", _ITS_ID),
    ("clone_search", "201"): ("search_id", _ITS_ID),
    ("list_searches", "200"): ("search_id", _FIRST_ID),
    ("list_search_candidates", "200"): ("candidate_id", _FIRST_ID),
    ("list_candidates", "200"): ("candidate_id", _FIRST_ID),
    ("retrain_candidate", "202"): ("final_training_id", _ITS_ID),
    ("list_final_trainings", "200"): ("final_training_id", _FIRST_ID),
    ("create_fidelity_report", "201"): ("fidelity_report_id", _ITS_ID),
    ("list_fidelity_reports", "200"): ("fidelity_report_id", _FIRST_ID),
}
"""By operation id and status: the parameter that an answer gives to all who take it, and where it is."""
_REFERENCE = "#/components/schemas/{model}"
_PAGE = re.compile(r"\bPage[_\[](\w+?)(?:View|Entry)[_\]]")

Json = dict[str, Any]


def document_api(app: FastAPI) -> None:
    """Replace FastAPI's document, which assumes errors of its own format, with ours."""

    def document() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    summary=app.summary,
                    description=DESCRIPTION.strip(),
                    license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
                    routes=app.routes,
                    tags=app.openapi_tags,
                )
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # how FastAPI has its document replaced


def _completed(document: Json) -> Json:
    components = document["components"]
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    models = (ProblemDetails, FieldProblem, EventView)
    _, definitions = models_json_schema(
        [(model, "serialization") for model in models], ref_template=_REFERENCE
    )
    components["schemas"] |= definitions["$defs"]
    components["responses"] = {
        _response_name(status): _problem_response(status)
        for status in sorted({each.status for each in PROBLEM_TYPES})
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _complete_operation(operation, path, method)
    _link_operations([each for methods in document["paths"].values() for each in methods.values()])
    renamed: Json = _rename_pages(document)
    return renamed


def _complete_operation(operation: Json, path: str, method: str) -> None:
    responses = operation["responses"]
    responses.pop("422", None)  # FastAPI's own format
    for status in _problem_statuses(operation, path, method):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{_response_name(status)}"})
    if _has_parameter(operation, "If-None-Match"):
        responses["304"] = {"description": "The client has it already"}
    for status, response in responses.items():
        for media_type, content in response.get("content", {}).items():
            if media_type == "text/event-stream":
                _describe_events(content)
            elif media_type == "application/json" and (operation["operationId"], status) in ANSWERS:
                content["example"] = ANSWERS[operation["operationId"], status]
        if status in {"201", "202"}:
            response["headers"] = {
                "Location": {"description": "path of what was created", "schema": {"type": "string"}}
            }


def _link_operations(operations: list[Json]) -> None:
    by_id = {operation["operationId"]: operation for operation in operations}
    for (source, status), (parameter, expression) in LINKS.items():
        by_id[source]["responses"][status]["links"] = {
            target: {"operationId": target, "parameters": {parameter: expression}}
            for target, operation in by_id.items()
            if _has_parameter(operation, parameter)
        }


_READ_CELLS = ("/cells.svg", "/cost", "/network.svg", "/lineage", "/similar", "/choices", "/importance")


def _problem_statuses(operation: Json, path: str, method: str) -> list[int]:
    """The statuses of the problems that an operation may answer with, read off its own description."""
    statuses = {500}
    if path != "/healthz":
        statuses.add(503)
    if "security" in operation:
        statuses |= {401, 403, 429}
    if "{" in path:
        statuses.add(404)
    if any(parameter["in"] != "path" for parameter in operation.get("parameters", [])):
        statuses.add(422)
    if "requestBody" in operation:
        statuses |= {400, 413, 415, 422}
    # What acts on something that exists may find it in a state that forbids the act; what reads architectures
    # may find one that its search space, which has changed since, does not know.
    if method == "delete" or (method == "post" and "{" in path) or path.endswith(("/export", *_READ_CELLS)):
        statuses.add(409)
    if path.endswith(("/export", "/samples.png", "/cost", "/network.svg")):
        statuses.add(501)
    if (method, path) == ("post", UPLOAD_PATH):
        statuses.add(507)
    return sorted(statuses)


def _problem_response(status: int) -> Json:
    types = [each for each in PROBLEM_TYPES if each.status == status]
    response: Json = {
        "description": "; or: ".join(each.title for each in types),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": _REFERENCE.format(model="ProblemDetails")},
                "examples": {each.slug: {"value": _problem_example(each)} for each in types},
            }
        },
    }
    if status in {429, 503}:
        response["headers"] = {
            "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}
        }
    if status == 401:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return response


def _problem_example(problem: ProblemType) -> Json:
    example: Json = {
        "type": problem.urn,
        "title": problem.title,
        "status": int(problem.status),
        "detail": "what happened this time",
        "instance": "/v1/searches",
        "errors": [],
    }
    if problem.slug == "invalid-request":
        field = FieldProblem(
            field="max_candidates",
            message="Input should be greater than or equal to 1",
            given=0,
        )
        example |= {"detail": str(field), "errors": [field.model_dump(exclude_none=True)]}
    return example


def _describe_events(content: Json) -> None:
    # `itemSchema`, which FastAPI writes, is of OpenAPI 3.2; the document says 3.1, as most generators read.
    content.pop("itemSchema", None)
    content["schema"] = {
        "type": "string",
        "description": "server-sent events with `id` and `event`; each `data` is an EventView as JSON",
        "contentMediaType": "text/event-stream",
    }
    content["example"] = (
        'id: 7\nevent: state\ndata: {"id": 7, "type": "state", '
        '"data": {"state": "running", "action": "claim"}, "created_at": "2026-01-01T00:00:00Z"}\n\n'
    )


def _response_name(status: int) -> str:
    slug = next(each.slug for each in reversed(PROBLEM_TYPES) if each.status == status)
    return "".join(word.capitalize() for word in slug.split("-"))


def _has_parameter(operation: Json, name: str) -> bool:
    return any(parameter["name"] == name for parameter in operation.get("parameters", []))


def _rename_pages(value: Any) -> Any:
    """`Page_SearchView_` is what a generic type is called, `Page[SearchView]` its title: `SearchPage`."""
    match value:
        case dict():
            return {_PAGE.sub(r"\1Page", key): _rename_pages(each) for key, each in value.items()}
        case list():
            return [_rename_pages(each) for each in value]
        case str():
            return _PAGE.sub(r"\1Page", value)
    return value
