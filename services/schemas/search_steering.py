"""What users send to change a search that exists, or to make another one like it."""

from typing import Any, Self

from pydantic import ConfigDict, Field, create_model, model_validator
from pydantic.fields import FieldInfo

from gtn_core.strict_model import StrictModel
from services.schemas.requests import SearchRequest


class SearchExtension(StrictModel):
    """The body of `POST /v1/searches/{id}/extend`: what is added to the search's limits."""

    model_config = ConfigDict(
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"additional_candidates": 50}]},
    )

    additional_candidates: int = Field(0, ge=0, le=10_000_000, description="added to `max_candidates`")
    additional_seconds: float = Field(
        0.0, ge=0, le=1e9, description="added to `max_seconds`, for a search that has such a limit"
    )

    @model_validator(mode="after")
    def _adds_something(self) -> Self:
        if not (self.additional_candidates or self.additional_seconds):
            raise ValueError("an extension adds something: give additional_candidates or additional_seconds")
        return self


def _describe_changes(schema: dict[str, Any]) -> None:
    schema["examples"] = [{"name": "another seed", "seed": 1}]
    for field in schema["properties"].values():
        field.pop("default")  # what is left out is as in the original


_FIELDS: dict[str, Any] = {
    name: (field.annotation, FieldInfo.merge_field_infos(field, default=None))
    for name, field in SearchRequest.model_fields.items()
}
SearchChanges = create_model(
    "SearchChanges",
    __doc__="The body of `POST /v1/searches/{id}/clone`: the fields of the request that are to differ.",
    __base__=StrictModel,
    __cls_kwargs__={"allow_inf_nan": False, "json_schema_extra": _describe_changes},
    **_FIELDS,
)
