"""Errors as the API tells them: problem details for HTTP APIs (RFC 9457)."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.errors import problem_urn

_MET_AGAIN = {
    problem_urn(slug) for slug in ("meta-training-diverged", "final-training-diverged", "memory-limit")
}


class FieldProblem(BaseModel):
    """What is wrong with one field of a request."""

    field: str = Field(description="dotted path of the field", examples=["search_space.name"])
    message: str = Field(examples=["unknown search space 'nasbench999'"])
    given: Any = Field(default=None, description="the value that was sent")
    expected: str | None = Field(
        default=None, description="what would do", examples=["one of: nasbench201, nasnet_micro"]
    )

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" + (f" (expected {self.expected})" if self.expected else "")


class ProblemDetails(BaseModel):
    """The body of every error answer, media type application/problem+json, and of a failed job's `error`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(default="about:blank", examples=["urn:gtn-nas:problem:invalid-request"])
    title: str = Field(examples=["The request is not valid"])
    status: int | None = Field(default=None, examples=[422])
    detail: str | None = Field(default=None, description="what happened this time")
    instance: str | None = Field(default=None, description="the path of the request, or the id of the job")
    errors: list[FieldProblem] = Field(default_factory=list, description="the fields at fault, if any")
    remedy: str | None = Field(default=None, description="what to do about it")

    @property
    def met_again(self) -> bool:
        """Whether a job that is resumed fails by it again, as it goes on from the same state and seed."""
        return self.type in _MET_AGAIN

    def __str__(self) -> str:
        told = self.detail or self.title
        parts = [told, *(text for text in map(str, self.errors) if text not in told)]
        remedy = f". {self.remedy[0].upper()}{self.remedy[1:]}" if self.remedy else ""
        return "; ".join(parts) + remedy
