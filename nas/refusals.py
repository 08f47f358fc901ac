"""What makes no sense although each part of it does, told as pydantic tells a bad field."""

from typing import Any

from pydantic import ValidationError

from gtn_core.strict_model import error_line


def located(error: ValidationError, *place: str) -> ValidationError:
    """The same errors, below `place`."""
    lines = [
        error_line(each["type"], each["msg"], (*place, *each["loc"]), each["input"])
        for each in error.errors(include_url=False)
    ]
    return ValidationError.from_exception_data(error.title, lines)


def refusal(title: str, place: tuple[str, ...], given: Any, message: str) -> ValidationError:
    """An error of `title` about what stands at `place`, to be raised."""
    return ValidationError.from_exception_data(title, [error_line("refused", message, place, given)])
