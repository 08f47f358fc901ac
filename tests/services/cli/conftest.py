"""A controller that really listens, and the command line to talk to it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import structlog
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from gtn_core import FrozenCheckpoint
from services.cli.app import app
from services.controller.app import create_app
from services.settings import Settings
from services.store import Store, open_store

Run = Callable[..., Result]


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", database_url=sqlite_url)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The controller's database, as runners reach it."""
    with open_store(settings.resolved_database_url) as store:
        yield store


@pytest.fixture
def url(settings: Settings, serving: Callable[[FastAPI], AbstractContextManager[str]]) -> Iterator[str]:
    """A controller without a dispatcher: what is submitted stays queued."""
    # It shares this process, and with it the stdout on which a command's answer is looked for.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with serving(create_app(settings)) as url:
        yield url
    structlog.reset_defaults()


@pytest.fixture
def run(url: str) -> Run:
    """`gtn-nas ARGUMENTS --url …`, which must succeed."""

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [*map(str, arguments), "--url", url], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    return invoke


@pytest.fixture
def checkpoint_file(checkpoint: FrozenCheckpoint, tmp_path: Path) -> Path:
    path = tmp_path / "digits.gtn"
    checkpoint.save(path)
    return path


@pytest.fixture
def search_id(run: Run, checkpoint_file: Path, store: Store, succeed: Callable[..., None]) -> str:
    """A running search with three scored candidates; 2 is the most accurate, 1 the smallest."""
    run("checkpoint", "import", checkpoint_file)
    search: str = run("search", "--space", "nasbench201", "--candidates", 5).stdout.strip()
    assert store.claim("search", "runner", 60, job_id=search) is not None
    for number, (accuracy, params) in enumerate([(0.5, 300), (0.4, 100), (0.9, 200)]):
        succeed(search, number, accuracy=accuracy, params=params)
    return search
