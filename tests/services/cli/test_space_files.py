"""Wherever a command takes a search space, FILE stands for the macro space that it describes."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from gtn_core import FrozenCheckpoint
from nas.search_spaces import get_search_space
from services.cli.app import app
from services.cli.options import named_space
from services.store import Store
from tests.services.cli.conftest import Run

TEXT = '[[stages]]\nblock = "plain"\nwidth = [8, 16]\n'
SPACE: dict[str, Any] = {"name": "macro", "description": {"stages": [{"block": "plain", "width": [8, 16]}]}}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = Path("my-space.toml")
    file.write_text(TEXT, encoding="utf-8-sig")
    return file


def test_a_file_is_the_description_of_a_macro_space(file: Path) -> None:
    assert named_space("space", str(file), None) == SPACE
    assert named_space("space", "nasbench201", ["channels=8"]) == {"name": "nasbench201", "channels": 8}


def test_learners_are_drawn_from_the_space_of_a_file(run: Run, store: Store, file: Path) -> None:
    job = run("train-gtn", "--dataset", "digits", "--learner-space", file).stdout.strip()
    assert store.get_job(job).request["learner_space"]["description"]["stages"][0]["width"] == [8, 16]


def test_a_fidelity_report_is_made_in_the_space_of_a_file(checkpoint: FrozenCheckpoint, file: Path) -> None:
    space = get_search_space(**SPACE)
    checkpoint.save("digits.gtn")
    first = space.sample(np.random.default_rng(0))
    with Path("table.csv").open("w", newline="") as table:
        rows = [(each.encoding, place) for place, each in enumerate((first, *space.neighbours(first)))]
        csv.writer(table).writerows([("architecture", "accuracy"), *rows])
    arguments = ("--checkpoint", "digits.gtn", "--table", "table.csv", "-n", "2", "--space", str(file))
    flops = 'zero_cost:{"readout": "flops", "proxies": []}'
    report = CliRunner().invoke(app, ["fidelity", *arguments, "--estimator", flops, "--json"])
    assert json.loads(report.stdout)["n"] == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[stages]\n", "is not TOML"),
        ("width = inf", "holds what cannot be sent"),
        ("day = 2024-01-01", "holds what cannot be sent"),
    ],
)
def test_a_file_that_describes_no_space_is_refused(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    refused = CliRunner().invoke(app, ["search", "--space", str(file)])
    assert refused.exit_code == 2
    assert f"{file} {told}" in refused.stderr


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    file.unlink()
    refused = CliRunner().invoke(app, ["search", "--space", str(file)])
    assert isinstance(refused.exception, FileNotFoundError)
    assert refused.exception.filename == str(file)
