"""`gtn-nas fidelity`: estimators with options, plots, and reports that a worker makes."""

import json
import threading
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer
from typer.testing import CliRunner

from gtn_core.errors import DatasetError
from nas.fidelity_spec import FidelitySpec
from services.cli.app import app
from services.cli.fidelity import named_estimator
from services.lifecycle import JobKind
from services.store import Store

EDGES = ("nor_conv_3x3", "nor_conv_1x1", "skip_connect", "avg_pool_3x3")
CELLS = [f"|{edge}~0|+|none~0|{edge}~1|+|skip_connect~0|none~1|{edge}~2|" for edge in EDGES]
FLOPS = 'zero_cost:{"readout": "flops", "proxies": []}'


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "table.csv"
    rows = "".join(f"{cell},{90 + place}\n" for place, cell in enumerate(CELLS))
    file.write_text("architecture,accuracy\n" + rows)
    return file


def fidelity(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["fidelity", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gtn", {"name": "gtn"}),
        (
            "gtn:passes=4,readout=validation_loss",
            {"name": "gtn", "passes": 4, "readout": "validation_loss"},
        ),
        (
            'ensemble:{"members": [{"name": "gtn"}, {"name": "zero_cost"}]}',
            {"name": "ensemble", "members": [{"name": "gtn"}, {"name": "zero_cost"}]},
        ),
    ],
)
def test_an_estimator_is_named_with_its_options(text: str, expected: dict[str, Any]) -> None:
    assert named_estimator(text) == expected


@pytest.mark.parametrize("text", ["gtn:passes", "ensemble:{members"])
def test_options_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"KEY=VALUE|not JSON"):
        named_estimator(text)


def test_a_picture_that_cannot_be_written_does_not_cost_the_report(
    checkpoint_file: Path, table: Path
) -> None:
    arguments = ("--checkpoint", checkpoint_file, "--table", table, "-n", 4, "--estimator", FLOPS)
    result = CliRunner().invoke(
        app, ["fidelity", *map(str, arguments), "--plot", str(table / "plot.svg"), "--json"]
    )
    assert isinstance(result.exception, OSError)
    assert json.loads(result.stdout)["n"] == 4


def test_several_estimators_in_a_table_and_in_a_picture(
    checkpoint_file: Path, table: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "plot.svg"
    estimators = ("--estimator", FLOPS, "--estimator", "gtn:validation_limit=50")
    arguments = ("--checkpoint", checkpoint_file, "--table", table, "-n", 4, "--space-option", "channels=4")
    result = fidelity(*arguments, *estimators, "--plot", picture)
    assert result.exit_code == 0, result.output
    assert "Spearman rho" in result.stdout
    assert "zero_cost" in result.stdout
    circles = ElementTree.parse(picture).findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 8


@pytest.mark.parametrize(("width", "intervals"), [(200, 4), (80, 1), (50, 4)])
def test_a_table_fits_its_terminal(width: int, intervals: int, monkeypatch: pytest.MonkeyPatch) -> None:
    interval = {"value": -0.123, "low": -0.456, "high": -0.078}
    measured = {
        "spearman": interval,
        "kendall": interval,
        "top_50_percent": {"spearman": interval},
        "top_10_percent": {"spearman": interval},
        "failed": 0,
        "seconds_per_candidate": 12.5,
    }
    estimators = [
        measured | {"estimator": name} for name in ("real_data", "gtn:passes=4,validation_limit=50")
    ]
    report = {"n": 4, "population": "unique", "estimators": estimators}
    monkeypatch.setattr("services.cli.fidelity._made_here", lambda *_: report)
    monkeypatch.setenv("COLUMNS", str(width))
    printed = fidelity().stdout
    assert printed.count("-0.123 [-0.456, -0.078]") == 2 * intervals
    assert printed.count("-0.123") == 2 * 4
    table = printed[printed.index("estimator") :]
    assert max(map(len, table.splitlines())) <= width


def test_without_a_table_candidates_are_trained(checkpoint_file: Path) -> None:
    arguments = ("--checkpoint", checkpoint_file, "-n", 3, "--truth-steps", 2, "--estimator", FLOPS)
    space = ("--space-option", "channels=2", "--space-option", "cells_per_stage=1")
    report = json.loads(fidelity(*arguments, *space, "--json").stdout)
    assert report["n"] == 3
    assert all(0 <= candidate["accuracy"] <= 1 for candidate in report["candidates"])


def test_a_submitted_report_comes_back_as_one_that_is_made_here(
    url: str, store: Store, checkpoint_file: Path, table: Path
) -> None:
    worker = threading.Thread(target=finish_report, args=(store, {"n": 4}))
    worker.start()
    arguments = ("--checkpoint", checkpoint_file, "--table", table, "-n", 4, "--estimator", FLOPS)
    result = fidelity(*arguments, "--submit", "--json", "--url", url)
    worker.join()
    assert json.loads(result.stdout) == {"n": 4}
    (job,) = store.list_jobs(JobKind.FIDELITY_REPORT).items
    assert job.request["table"] == {"csv": table.read_text(), "path": None}


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(CELLS[0] + ",90\n", id="long"),
        pytest.param('"' + '""' * 40 + '",90\n', id="long-when-sent"),
    ],
)
def test_a_long_table_is_named_where_a_short_one_is_sent(
    row: str, url: str, store: Store, checkpoint_file: Path, table: Path
) -> None:
    length = 900_001 if row.startswith("|") else 600_000
    table.write_text("architecture,accuracy\n" + row * (length // len(row)))
    worker = threading.Thread(target=finish_report, args=(store, {"n": 4}))
    worker.start()
    result = fidelity("--checkpoint", checkpoint_file, "--table", table, "--submit", "--json", "--url", url)
    worker.join()
    assert json.loads(result.stdout) == {"n": 4}
    (job,) = store.list_jobs(JobKind.FIDELITY_REPORT).items
    assert job.request["table"] == {"csv": None, "path": str(table)}


def test_a_table_that_is_no_text_is_refused(url: str, checkpoint_file: Path, table: Path) -> None:
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"table .*table.csv cannot be read"):
        fidelity("--checkpoint", checkpoint_file, "--table", table, "--submit", "--url", url)


def finish_report(store: Store, report: dict[str, Any]) -> None:
    """What a worker does, as soon as there is something to do."""
    for _ in range(600):
        if (job := store.claim(JobKind.FIDELITY_REPORT, "worker", 60)) is not None:
            store.finish(job.id, "worker", result=report)
            return
        time.sleep(0.05)


def test_the_help_tells_the_defaults_of_a_report() -> None:
    told = {each.name: each.show_default for each in typer.main.get_command(app).commands["fidelity"].params}
    defaults = {name: field.default for name, field in FidelitySpec.model_fields.items()}
    names = ("candidates", "labels", "population", "truth_steps", "seed")
    assert {name: told[name] for name in names} == {name: str(defaults[name]) for name in names}
    assert told["estimator"] == "gtn, real_data, zero_cost and ensemble"
    assert [each.name for each in defaults["estimators"]] == ["gtn", "real_data", "zero_cost", "ensemble"]
