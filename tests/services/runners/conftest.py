"""What the tests of runners and workers share: a place to work in, and searches to work on."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from services.lifecycle import JobKind
from services.processes import start, stop
from services.schemas.requests import SearchRequest
from services.settings import Settings
from services.store import JobRecord, Store, open_store
from services.wiring import Backend, child_environment, make_backend

from ...waiting import wait_until

WaitUntil = Callable[..., None]
PLUGIN = str(Path(__file__).parents[2] / "nas" / "plugin")


def with_plugin(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that finds the tests' plugin."""
    path = os.pathsep.join(filter(None, [PLUGIN, environment.get("PYTHONPATH")]))
    return {**environment, "PYTHONPATH": path}


@contextmanager
def ray_head(*options: str, environment: Mapping[str, str]) -> Iterator[None]:
    """A head node of its own with two CPUs, while the `with` block runs."""
    folder = Path(tempfile.mkdtemp(prefix="gtn-", dir="/tmp"))  # its sockets need a short path
    ray, log = Path(sys.executable).with_name("ray"), folder / "head.log"
    command = [str(ray), "start", "--head", "--block", "--num-cpus=2", f"--temp-dir={folder}", *options]
    head = start(command, environment=environment, log_path=log)
    try:
        wait_until(lambda: "Ray runtime started" in log.read_text())
        yield
    finally:
        stop([head], grace_seconds=30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def environment_as_before() -> Iterator[None]:
    """A session of Ray sets variables for good: with those of a local one, no later test starts a node."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(name="wait_until")
def shared_wait_until() -> WaitUntil:
    """Waits for a condition."""
    return wait_until


@pytest.fixture
def runner_database_url(sqlite_url: str) -> str:
    """SQLite; tests that want both engines override it with `database_url`."""
    return sqlite_url


@pytest.fixture
def store(runner_database_url: str) -> Iterator[Store]:
    with open_store(runner_database_url) as store:
        yield store


@pytest.fixture
def database_away(store: Store, tmp_path: Path) -> Callable[[], AbstractContextManager[None]]:
    """`with database_away():` the SQLite file cannot be opened, by anyone."""

    @contextmanager
    def away() -> Iterator[None]:
        database, kept, dead_end = (tmp_path / name for name in ("gtn-nas.db", "kept.db", "dead-end.db"))
        store.close()
        # Each swap is one rename: a moment without any file is one in which a retry makes an empty database.
        kept.hardlink_to(database)
        dead_end.symlink_to(tmp_path / "no such folder" / "gtn-nas.db")
        dead_end.replace(database)
        store.close()  # whoever opened it meanwhile would go on seeing the file itself
        yield
        kept.replace(database)

    return away


@pytest.fixture
def settings(runner_database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data", database_url=runner_database_url, lease_seconds=3, poll_seconds=0.1
    )


@pytest.fixture
def unmigrated(settings: Settings, tmp_path: Path) -> dict[str, str]:
    """The environment of a runner whose database has not been migrated."""
    return child_environment(settings) | {"GTN_NAS_DATABASE_URL": f"sqlite:///{tmp_path / 'unmigrated.db'}"}


@pytest.fixture
def backend(settings: Settings) -> Iterator[Backend]:
    backend = make_backend(settings)
    with backend.store:
        yield backend


@pytest.fixture
def queue_search(store: Store) -> Callable[..., JobRecord]:
    """Queues a search as the controller does; `checkpoint_id` need not be there until a runner wants it."""

    def queue(
        checkpoint_id: str = "0" * 64,
        *,
        candidates: int = 6,
        priority: int = 0,
        owner_key_id: str | None = None,
        **options: object,
    ) -> JobRecord:
        request = SearchRequest.model_validate(
            {
                "checkpoint_id": checkpoint_id,
                "search_space": {"name": "nasbench201", "channels": 4, "cells_per_stage": 1},
                "algorithm": {"name": "random_search"},
                "max_candidates": candidates,
                **options,
            }
        )
        return store.create_job(
            JobKind.SEARCH,
            name="",
            request=request.model_dump(mode="json"),
            subject_id=checkpoint_id,
            progress_total=candidates,
            priority=priority,
            owner_key_id=owner_key_id,
        )

    return queue
