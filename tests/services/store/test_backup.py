"""Copies of a SQLite database that is in use."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from services.errors import ConflictError, SchemaMismatchError, StoreUnavailableError
from services.lifecycle import JobKind
from services.store import Store, back_up, open_store, restore, upgrade


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'gtn-nas.db'}"
    upgrade(url)
    return url


@pytest.fixture
def written(url: str) -> Iterator[Store]:
    """A store to which a thread adds jobs without a pause; their names count up from 0."""
    with open_store(url) as store:
        enough, some = Event(), Event()

        def write() -> None:
            number = 0
            while not enough.is_set():
                store.create_job(JobKind.SEARCH, name=str(number), request={}, progress_total=1)
                number += 1
                if number == 20:
                    some.set()

        writer = Thread(target=write)
        writer.start()
        try:
            assert some.wait(60)
            yield store
        finally:
            enough.set()
            writer.join()


def names(store: Store) -> list[int]:
    found, cursor = [], None
    while True:
        page = store.list_jobs(JobKind.SEARCH, limit=100, cursor=cursor)
        found += [int(job.name) for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found[::-1]


def test_a_copy_of_a_database_that_is_written_to_is_one_moment_of_it(
    written: Store, url: str, tmp_path: Path
) -> None:
    target = tmp_path / "copy.db"

    size = back_up(url, target)

    assert size == target.stat().st_size > 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if "partial" in path.name) == []
    with open_store(f"sqlite:///{target}") as copy:
        copied = names(copy)
        assert copied == list(range(len(copied)))
        assert 20 <= len(copied) <= len(names(written))
        copy.create_job(JobKind.SEARCH, name="99999", request={}, progress_total=1)
        assert names(copy)[-1] == 99999


def test_a_file_that_is_there_is_left_alone(url: str, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(ConflictError, match=r"copy.db exists; name another file"):
        back_up(url, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_what_cannot_be_copied_is_named_and_leaves_nothing(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=r"no database .*absent.db; .*GTN_NAS_DATA_DIR"):
        back_up(f"sqlite:///{tmp_path / 'absent.db'}", tmp_path / "copy.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(SchemaMismatchError, match=r"empty.db has no schema, and so holds nothing"):
        back_up(f"sqlite:///{tmp_path / 'empty.db'}", tmp_path / "copy.db")
    with pytest.raises(StoreUnavailableError, match=r"no copy of .*gtn-nas.db at .*nowhere/copy.db"):
        back_up(url, tmp_path / "nowhere" / "copy.db")
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreUnavailableError, match=r"file is not a database"):
        back_up(f"sqlite:///{tmp_path / 'broken.db'}", tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy*"))


def test_postgresql_is_left_to_its_own_tools() -> None:
    with pytest.raises(ConflictError, match=r"postgresql.*//me:\*\*\*@host/db is backed up by pg_dump"):
        back_up("postgresql://me:secret@host/db", Path("copy.db"))


@pytest.fixture
def copy(url: str, tmp_path: Path) -> Path:
    """A copy of a database with one job."""
    with open_store(url) as store:
        store.create_job(JobKind.SEARCH, name="1", request={}, progress_total=1)
    back_up(url, tmp_path / "copy.db")
    return tmp_path / "copy.db"


def test_a_copy_is_restored_over_what_a_killed_process_left(url: str, copy: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    with open_store(url) as store:
        for number in range(2, 40):
            store.create_job(JobKind.SEARCH, name=str(number), request={}, progress_total=1)
        for path in tmp_path.glob("gtn-nas.db*"):  # with its log, as it lies there while a process lives
            shutil.copy(path, left)
    assert (left / "gtn-nas.db-wal").stat().st_size > 0
    content = copy.read_bytes()

    restore(f"sqlite:///{left / 'gtn-nas.db'}", copy)

    assert copy.read_bytes() == content
    with open_store(f"sqlite:///{left / 'gtn-nas.db'}") as store:
        assert names(store) == [1]
        store.create_job(JobKind.SEARCH, name="2", request={}, progress_total=1)
        assert names(store) == [1, 2]


def test_a_copy_is_restored_where_there_is_nothing(copy: Path, tmp_path: Path) -> None:
    restore(f"sqlite:///{tmp_path / 'new' / 'gtn-nas.db'}", copy)
    with open_store(f"sqlite:///{tmp_path / 'new' / 'gtn-nas.db'}") as store:
        assert names(store) == [1]
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_database_in_use_is_not_replaced(url: str, copy: Path) -> None:
    with open_store(url) as store:
        store.create_job(JobKind.SEARCH, name="2", request={}, progress_total=1)
        with pytest.raises(ConflictError, match=r"gtn-nas.db is in use; stop what uses it first"):
            restore(url, copy)
        assert names(store) == [1, 2]


def test_what_is_no_copy_restores_nothing(url: str, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"no database" * 100)
    with pytest.raises(ConflictError, match=r"picture.png is no copy that `gtn-nas db backup` made"):
        restore(url, tmp_path / "picture.png")
    with pytest.raises(StoreUnavailableError, match=r"absent.db is not restored"):
        restore(url, tmp_path / "absent.db")
    with open_store(url) as store:
        assert names(store) == []
    with pytest.raises(ConflictError, match=r"is restored by pg_restore"):
        restore("postgresql://me:secret@host/db", tmp_path / "picture.png")
