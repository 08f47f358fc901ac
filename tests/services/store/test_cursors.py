"""Cursors: positions survive the round trip, everything else is refused."""

import base64
import json
import random
from datetime import UTC, datetime

import pytest

from services.errors import InvalidCursorError
from services.store.cursors import _digest, decode_cursor, encode_cursor
from services.store.tables import CANDIDATES

TIMES = tuple(CANDIDATES.columns[name] for name in ("created_at", "number"))
COLUMNS = tuple(CANDIDATES.columns[name] for name in ("accuracy", "search_id", "number"))


@pytest.mark.parametrize(
    "position", [(0.1 + 0.2, "search", 7), (None, "search", 0), (5e-324, "größe", 2**63 - 1), (-0.0, "", 1)]
)
def test_round_trip(position: tuple[object, ...]):
    cursor = encode_cursor("-accuracy", position)
    assert decode_cursor("-accuracy", COLUMNS, cursor) == position
    assert cursor.isascii()
    assert not set(cursor) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_times_keep_their_microseconds():
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    cursor = encode_cursor("created_at", (moment, 3))
    assert decode_cursor("created_at", TIMES, cursor) == (moment, 3)


def test_every_damaged_character_is_noticed():
    cursor = encode_cursor("-accuracy", (0.5, "search", 7))
    chance = random.Random(0)
    for place in range(len(cursor) - 1):  # the last character carries spare bits
        other = chance.choice([letter for letter in "Ab9_-" if letter != cursor[place]])
        with pytest.raises(InvalidCursorError):
            decode_cursor("-accuracy", COLUMNS, cursor[:place] + other + cursor[place + 1 :])


@pytest.mark.parametrize("cursor", ["", "a", "=", "é", "\0", "AAAA", "A" * 100_000, "a b", "../..", "nul%00"])
def test_invented_cursors_are_refused(cursor: str):
    with pytest.raises(InvalidCursorError):
        decode_cursor("-accuracy", COLUMNS, cursor)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        None,
        "-accuracy",
        [["-accuracy"], 0.5, "search", 7],
        ["-accuracy"],
        ["-accuracy", 0.5, "search"],
        ["-accuracy", 0.5, "search", 7, 8],
        ["-accuracy", "0.5", "search", 7],
        ["-accuracy", 0.5, None, 7],
        ["-accuracy", 0.5, "search", 2**63],
        ["-accuracy", 0.5, "search", 7.5],
        ["-accuracy", 0.5, "search", True],
        ["-accuracy", 0.5, "nul\0", 7],
        ["-accuracy", 0.5, "\ud800", 7],
        ["-accuracy", float("nan"), "search", 7],
        ["-accuracy", float("inf"), "search", 7],
        ["-accuracy", 10**400, "search", 7],
    ],
)
def test_a_forged_cursor_with_a_right_digest_is_refused_too(content: object):
    body = json.dumps(content).encode()
    forged = base64.urlsafe_b64encode(_digest(body) + body).decode().rstrip("=")
    with pytest.raises(InvalidCursorError):
        decode_cursor("-accuracy", COLUMNS, forged)


def test_a_forged_time_without_a_zone_is_refused():
    cursor = encode_cursor("created_at", ("2026-01-01T00:00:00", 3))
    with pytest.raises(InvalidCursorError):
        decode_cursor("created_at", TIMES, cursor)
