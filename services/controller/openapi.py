"""The OpenAPI document: what FastAPI derives, with the errors as they really are."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from services.controller.problems import MEDIA_TYPE
from services.schemas import FieldProblem, ProblemDetails

TAGS = [
    {"name": "meta-trainings", "description": "From a data set to a frozen checkpoint."},
    {"name": "checkpoints", "description": "Frozen GTNs, addressed by their content."},
    {"name": "searches", "description": "From a checkpoint to ranked architectures."},
    {"name": "candidates", "description": "Architectures: rank, retrain, export."},
    {"name": "final trainings", "description": "Candidates on real data, with their test accuracy."},
    {"name": "catalogue", "description": "What can be asked for."},
    {"name": "system", "description": "Cluster, health, metrics."},
]
_REFERENCE = "#/components/schemas/{model}"


def document_problems(app: FastAPI) -> None:
    """Make the document say that every error is problem details; FastAPI assumes its own format."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problems(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    summary=app.summary,
                    description=app.description,
                    routes=app.routes,
                    tags=app.openapi_tags,
                )
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # how FastAPI has its document replaced


def _with_problems(schema: dict[str, Any]) -> dict[str, Any]:
    problem = {
        "description": "A problem (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="ProblemDetails")}}},
    }
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = problem
    schemas = schema["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    _, definitions = models_json_schema(
        [(ProblemDetails, "serialization"), (FieldProblem, "serialization")], ref_template=_REFERENCE
    )
    schemas |= definitions["$defs"]
    return schema
