"""The gate that every JSON value passes on its way in."""

import math
from typing import Any

from services.errors import InvalidValueError


def check_json(value: Any, place: str) -> None:
    """Refuse what is not JSON: NaN and infinities, foreign types, NUL characters, keys that are not text.

    `place` names the value in the message, such as `metrics`. Raises InvalidValueError.
    """
    match value:
        case None | bool() | int():
            return
        case float():
            if not math.isfinite(value):
                raise InvalidValueError(f"{place} is {value}; only finite numbers can be stored")
        case str():
            if not storable_text(value):
                raise InvalidValueError(f"{place} holds a NUL or half a character, which cannot be stored")
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise InvalidValueError(f"{place} has the key {key!r}; keys must be text")
                check_json(key, f"a key of {place}")
                check_json(item, f"{place}.{key}")
        case list() | tuple():
            for position, item in enumerate(value):
                check_json(item, f"{place}[{position}]")
        case _:
            raise InvalidValueError(f"{place} is a {type(value).__name__}, which JSON does not have")


def storable(text: str) -> str:
    """The text with escapes in the place of what no engine takes: file names need not be text."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def storable_text(text: str) -> bool:
    """Whether both engines take the text: PostgreSQL refuses NUL, and a lone surrogate is not UTF-8."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
