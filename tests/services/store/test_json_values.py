"""The gate that JSON values pass."""

from datetime import UTC, datetime

import pytest

from services.errors import InvalidValueError
from services.store.json_values import check_json


@pytest.mark.parametrize(
    "value", [None, True, 0, 2**70, -1.5, "", "é", [], {}, {"a": [1, {"b": None}]}, (1, 2), {"": [[]]}]
)
def test_json_passes(value: object):
    check_json(value, "value")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "value is nan; only finite"),
        ({"a": [0, {"b": float("inf")}]}, r"value\.a\[1\]\.b is inf"),
        ({1: 2}, "value has the key 1; keys must be text"),
        ({"a": {1, 2}}, r"value\.a is a set"),
        (datetime.now(UTC), "value is a datetime"),
        (b"bytes", "value is a bytes"),
        (["a\0b"], r"value\[0\] holds a NUL"),
        ({"a\0b": 1}, "a key of value holds a NUL"),
        (["\ud800"], r"value\[0\] holds a NUL or half a character"),
    ],
)
def test_everything_else_is_refused_with_its_place(value: object, message: str):
    with pytest.raises(InvalidValueError, match=message):
        check_json(value, "value")
