"""How single values are printed."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.console import local_time, short_time


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


@pytest.mark.usefixtures("new_york")
def test_a_time_in_a_table_is_of_this_year_or_a_date() -> None:
    this_year = datetime.now(UTC).astimezone().year
    assert short_time(datetime(this_year, 6, 1, 12, 30, 59, tzinfo=UTC)) == "06-01 08:30"
    assert short_time(datetime(this_year - 1, 12, 1, 2, 30, tzinfo=UTC)) == f"{this_year - 1}-11-30"
    assert short_time(None) == ""


def test_up_names_its_folder_also_where_that_looks_like_markup(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stack = SimpleNamespace(
        url="http://127.0.0.1:1", children=[], failure="it ended", wait_until_ready=lambda shutdown: None
    )
    monkeypatch.setattr("services.local_stack.LocalStack", lambda settings: nullcontext(stack))
    monkeypatch.setattr("services.logging.configure_logging", lambda settings, process: None)
    monkeypatch.setattr("services.shutdown.Shutdown.listen", lambda shutdown: None)
    folder = tmp_path / "[" / "data]"
    told = CliRunner().invoke(app, ["up", "--data-dir", str(folder)], env={"COLUMNS": "500"}).stderr
    assert f"data folder  {folder}\n" in told
