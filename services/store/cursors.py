"""Cursors: positions in an ordered list as opaque, URL-safe text."""

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.errors import InvalidCursorError
from services.store.json_values import storable_text

Columns = Sequence[sa.Column[Any]]
Position = tuple[Any, ...]  # the values of an order's columns in the last row seen


def encode_cursor(order_name: str, position: Position) -> str:
    """The cursor of a position. Its digest tells damage; it is no secret, for a position guards nothing."""
    values = [value.isoformat() if isinstance(value, datetime) else value for value in position]
    body = json.dumps([order_name, *values], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_digest(body) + body).decode().rstrip("=")


def decode_cursor(order_name: str, columns: Columns, cursor: str) -> Position:
    """The position in a cursor, with values of the types of `columns`.

    Raises InvalidCursorError for a cursor that is damaged, invented, or made for another order.
    """
    try:
        name, *values = _read(cursor)
        if name == order_name:
            return tuple(_typed(column, value) for column, value in zip(columns, values, strict=True))
    except (ValueError, TypeError, OverflowError):  # of base64, UTF-8, JSON and what is in it
        raise InvalidCursorError(
            f"cursor {cursor[:80]!r} is not of this list; start again without one"
        ) from None
    raise InvalidCursorError(f"the cursor belongs to the order {name!r}, not to {order_name!r}")


def _read(cursor: str) -> list[Any]:
    data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if digest != _digest(body):
        raise ValueError("damaged")
    content: list[Any] = json.loads(body)
    return content


def _typed(column: sa.Column[Any], value: Any) -> Any:
    """The value as its column has it. Raises ValueError or TypeError for one that the column cannot have."""
    kind = column.type.python_type
    if value is None and column.nullable:
        return None
    if kind is datetime:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment
    elif kind is float:
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    elif kind is int:
        if type(value) is int and abs(value) < 2**63:
            return value
    elif isinstance(value, str) and storable_text(value):
        return value
    raise ValueError(f"{value!r} is no value of {column.key}")


_DIGEST_BYTES = 6


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES, person=b"gtn-nas cursor").digest()
