"""A query parameter that an operation does not have is refused: ignored, it would do something else."""

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from gtn_core.strict_model import MOST_TOLD, no_such


def refuse_unknown_parameters(request: Request) -> None:
    """Answers 422, as lists do by their models, to `?validate_olny=true`. Raises RequestValidationError."""
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute) or not route.path.startswith("/v1/"):
        return
    known = list(dict.fromkeys(_parameters(route.dependant)))
    unknown = [each for each in request.query_params if each not in known]
    if unknown:
        raise RequestValidationError(
            [
                {
                    "type": "extra_forbidden",
                    "loc": ("query", name),
                    "msg": no_such("parameter", name, known),
                    "input": request.query_params[name],
                }
                for name in unknown[:MOST_TOLD]
            ]
        )


def _parameters(dependant: Dependant) -> Iterator[str]:
    """Of the operation itself and of all that it depends on; a model stands for its fields."""
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (given.alias or name for name, given in model.model_fields.items())
        else:
            yield field.alias
    for each in dependant.dependencies:
        yield from _parameters(each)
