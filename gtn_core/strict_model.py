"""The base of what people write by hand: what it has no field for is refused, with what it has."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

MOST_TOLD = 20
"""Unknown fields of a model, or parameters of an operation, that are told of; any more only take time."""

DEEPEST = 32
"""Levels of lists and objects within one another: what is deeper cannot be walked through everywhere."""

LARGEST = 2**64
"""No count, bound or seed is larger; what is far larger is beyond a float, too."""


class StrictModel(BaseModel):
    """Frozen; a field that it does not have is an error that names the nearest that it has, or all.

    Whatever is beyond `DEEPEST` or `LARGEST` is refused, too. Lists in it are to be `fail_fast`: a request
    has room for a hundred thousand bad items, and to look at each and tell of it takes a minute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _told_what_there_is(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            _refuse(cls, _too_deep(data))
            made = handler(cls._without_further_unknown(data))
        except ValidationError as error:
            failures = error.errors(include_url=False)
            if not any(map(_is_unknown_field, failures)):
                raise
            lines = [_line(each, list(cls.model_fields)) for each in failures]
            raise ValidationError.from_exception_data(error.title, lines) from None
        _refuse(cls, _too_large(made))
        return made

    @classmethod
    def _without_further_unknown(cls, data: Any) -> Any:
        """The data with as many unknown fields as are told of, which are enough to be refused."""
        if not isinstance(data, dict) or cls.model_config.get("extra") != "forbid":
            return data
        known = {*cls.model_fields, *(field.alias for field in cls.model_fields.values())}
        further = set([name for name in data if name not in known][MOST_TOLD:])
        return {name: value for name, value in data.items() if name not in further} if further else data


def _refuse(model: type[BaseModel], lines: Iterable[InitErrorDetails]) -> None:
    """Raise ValidationError if there are any."""
    if found := list(lines):
        raise ValidationError.from_exception_data(model.__name__, found)


def _too_deep(data: Any) -> Iterator[InitErrorDetails]:
    for name, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, _CONTAINERS) and _is_deeper(value, DEEPEST - 1):
            message = f"lists and objects are more than {DEEPEST} levels deep; give flatter ones"
            yield error_line("too_deep", message, (name,), None)


_CONTAINERS = (dict, list, tuple)


def _is_deeper(value: Any, levels: int) -> bool:
    if levels == 0:
        return True
    within = value.values() if isinstance(value, dict) else value
    return any(isinstance(each, _CONTAINERS) and _is_deeper(each, levels - 1) for each in within)


def _too_large(made: BaseModel) -> Iterator[InitErrorDetails]:
    for name, value in made:
        if isinstance(value, int) and abs(value) > LARGEST:
            yield error_line("too_large", f"whole numbers are at most {LARGEST} here", (name,), value)


def _is_unknown_field(failure: ErrorDetails) -> bool:
    """Of this model, and not of one within it, which has spoken already."""
    return failure["type"] == "extra_forbidden" and len(failure["loc"]) == 1


def _line(failure: ErrorDetails, known: list[str]) -> InitErrorDetails:
    message = failure["msg"]
    if _is_unknown_field(failure):
        message = no_such("field", str(failure["loc"][0]), known)
    return error_line(failure["type"], message, failure["loc"], failure["input"])


def no_such(what: str, given: str, known: Sequence[str]) -> str:
    """That there is no field or parameter, whatever it is called, of this name, and which there are."""
    near = get_close_matches(given, known)
    there_is = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
    return f"there is no such {what}; {there_is}"


def error_line(kind: str, message: str, place: tuple[int | str, ...], given: Any) -> InitErrorDetails:
    """One line of a ValidationError: what is told of the input `given`, which stands at `place`."""
    # As a value, since braces in the message itself would be read as names of values.
    error = PydanticCustomError(kind, "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=place, input=given)
