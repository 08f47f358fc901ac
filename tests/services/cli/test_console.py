"""How single values are printed."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from services.cli.console import local_time


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EST5EDT,M3.2.0,M11.1.0")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("new_york")
def test_the_hour_that_comes_twice_a_year_is_told_apart() -> None:
    summer, winter = (datetime(2026, 11, 1, hour, 30, tzinfo=UTC) for hour in (5, 6))
    assert local_time(summer) == "2026-11-01 01:30:00 EDT"
    assert local_time(winter) == "2026-11-01 01:30:00 EST"
    assert local_time(None) == ""
