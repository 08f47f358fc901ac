"""A controller that really listens, and the command line to talk to it."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copy

import pytest
import structlog
from typer.testing import CliRunner, Result

from gtn_core import FrozenCheckpoint, MetaTrainingConfig, load_dataset, meta_train
from services.cli.app import app
from services.controller.app import create_app
from services.controller.server import ControllerServer
from services.ports import bind
from services.settings import Settings
from services.store import Store, open_store

Run = Callable[..., Result]


@pytest.fixture
def settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    database = tmp_path / "gtn-nas.db"
    copy(sqlite_template, database)
    return Settings(data_dir=tmp_path / "data", database_url=f"sqlite:///{database}")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The controller's database, as runners reach it."""
    with open_store(settings.resolved_database_url) as store:
        yield store


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """A controller without a dispatcher: what is submitted stays queued."""
    # It shares this process, and with it the stdout on which a command's answer is looked for.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        server = ControllerServer(create_app(settings), host="127.0.0.1", port=port)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()
    structlog.reset_defaults()


@pytest.fixture
def run(url: str) -> Run:
    """`gtn-nas ARGUMENTS --url …`, which must succeed."""

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [*map(str, arguments), "--url", url], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    return invoke


@pytest.fixture(scope="session")
def checkpoint() -> FrozenCheckpoint:
    """A GTN of one meta step: its teaching is poor, its file is real."""
    config = MetaTrainingConfig(
        inner_steps=2,
        batch_size=8,
        meta_steps=1,
        generator_hidden=8,
        generator_channels=(4, 4),
        learner_channels=(4,),
        learner_hidden=8,
    )
    return meta_train(load_dataset("digits"), config)


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
