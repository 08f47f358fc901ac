"""Numbers and times as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from services.dashboard import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "12.3 ms"), (0.9999, "1.0 s"), (4.21, "4.2 s"), (59.96, "1 min 00 s"), (200, "3 min 20 s"),
     (3600, "1 h 00 min"), (7500, "2 h 05 min"), (273_600, "3 d 4 h"), (None, "–"), (-60, "0 ms")],
)  # fmt: skip
def test_durations(value: float | None, text: str):
    assert formats.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (7, "7"), (1.5, "1.5"), (999, "999"), (1000, "1 k"), (4560, "4.56 k"), (999_600, "1 M"),
     (7_890_000, "7.89 M"), (None, "–")],
)  # fmt: skip
def test_large_numbers(value: float | None, text: str):
    assert formats.short(value) == text


def test_units_are_written_after_a_space():
    assert formats.short(4560, "FLOPs") == "4.56 kFLOPs"
    assert formats.short(7, "FLOPs") == "7 FLOPs"
    assert formats.size(1_500_000) == "1.5 MB"
    assert formats.percent(0.9123) == "91.2 %"
    assert formats.count(1_234_567) == "1,234,567"


def test_a_time_is_relative_with_the_absolute_one_on_hover():
    moment = datetime.now(UTC) - timedelta(minutes=3, seconds=20)

    shown = str(formats.ago(moment))

    assert shown.endswith(">3 min ago</time>")
    assert f'title="{moment:%Y-%m-%d %H:%M:%S} UTC"' in shown
    assert formats.ago(None) == "–"


def test_what_another_clock_dates_to_the_future_has_happened():
    assert str(formats.ago(datetime.now(UTC) + timedelta(minutes=3))).endswith(">just now</time>")
