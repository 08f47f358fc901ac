"""What makes no sense although each part of it does, told as pydantic tells a bad field."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError


def located(error: ValidationError, *place: str) -> ValidationError:
    """The same errors, below `place`."""
    details: list[InitErrorDetails] = [
        InitErrorDetails(
            type=PydanticCustomError(detail["type"], "{reason}", {"reason": detail["msg"]}),
            loc=(*place, *detail["loc"]),
            input=detail["input"],
        )
        for detail in error.errors(include_url=False)
    ]
    return ValidationError.from_exception_data(error.title, details)


def refusal(title: str, place: tuple[str, ...], given: Any, message: str) -> ValidationError:
    """An error of `title` about what stands at `place`, to be raised."""
    # As a value, since braces in the message itself would be read as names of values.
    error = PydanticCustomError("refused", "{message}", {"message": message})
    return ValidationError.from_exception_data(title, [InitErrorDetails(type=error, loc=place, input=given)])
