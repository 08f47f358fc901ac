"""`gtn-nas fidelity`: estimators with options, plots, and reports that a worker makes."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.fidelity import named_estimator

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


def test_without_a_table_candidates_are_trained(checkpoint_file: Path) -> None:
    arguments = ("--checkpoint", checkpoint_file, "-n", 3, "--truth-steps", 2, "--estimator", FLOPS)
    space = ("--space-option", "channels=2", "--space-option", "cells_per_stage=1")
    report = json.loads(fidelity(*arguments, *space, "--json").stdout)
    assert report["n"] == 3
    assert all(0 <= candidate["accuracy"] <= 1 for candidate in report["candidates"])
