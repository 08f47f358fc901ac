"""Connections and transactions, and what SQLite and PostgreSQL differ in there."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, sessionmaker

from services.errors import InvalidValueError, StoreUnavailableError

if TYPE_CHECKING:  # a tenth of a second, which SQLite does not need
    import psycopg

Clock = Callable[[], datetime]

TIME = sa.func.now()
"""When the transaction began, by the clock of a PostgreSQL; SQLite says something too, and is not asked."""


def utc_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


class Database:
    """One database: `read()` and `write()` open its transactions, `now()` tells their time."""

    def __init__(self, engine: sa.Engine, clock: Clock | None = None) -> None:
        """A `clock` stands for the database's own."""
        self.engine, self._clock = engine, clock
        # A reader sees one snapshot however many statements it runs, and takes no write lock.
        self._reader = sessionmaker(
            engine.execution_options(
                sqlite_begin="BEGIN", postgresql_readonly=True, isolation_level="REPEATABLE READ"
            )
            if engine.dialect.name == "postgresql"
            else engine.execution_options(sqlite_begin="BEGIN")
        )
        self._writer = sessionmaker(engine, expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read-only transaction on one snapshot. Raises StoreUnavailableError."""
        with self._translated_errors(), self._reader() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits at the end and rolls back on any error.

        SQLite admits one writer at a time and this one waits its turn at BEGIN; PostgreSQL locks the
        rows that the caller asks for. Raises StoreUnavailableError.
        """
        with self._translated_errors(), self._writer.begin() as session:
            yield session

    def now(self, session: Session, told: datetime | None = None) -> datetime:
        """When the transaction began, or a little later.

        PostgreSQL tells it, since machines share it: where one's clock is ahead, leases of the others would
        have run out there although their runners live. SQLite has the clock of the one machine that it is on.
        `told` is what a statement of the transaction has already brought along of `TIME`.
        """
        if self._clock is None and self.engine.dialect.name == "postgresql":
            return (told or session.execute(sa.select(TIME)).scalar_one()).astimezone(UTC)
        return (self._clock or utc_now)()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DataError as error:
            raise InvalidValueError(f"a value cannot be stored: {_first_line(error)}") from error
        except (*_AWAY, sa.exc.DatabaseError) as error:
            # The plain DatabaseError is a file that SQLite cannot read. Its subclasses are our own mistakes,
            # unless the database has given up the connection, or we have: see `_leave_a_standby`.
            if not (
                isinstance(error, _AWAY)
                or type(error) is sa.exc.DatabaseError
                or error.connection_invalidated
            ):
                raise
            raise StoreUnavailableError(
                f"the database {self} does not answer: {_first_line(error)}; {self._advice}"
            ) from error

    @property
    def _advice(self) -> str:
        if self.engine.dialect.name == "postgresql":
            return "check that it runs and that its URL, GTN_NAS_DATABASE_URL, is right"
        return (
            "check that its disk has room and can lock files (some network file systems cannot), that this "
            f"user may write there, and {_FILE_SETTING}"
        )

    def __str__(self) -> str:
        return self.engine.url.render_as_string(hide_password=True)


@contextmanager
def opened(database_url: str, *, foreign_keys: bool = True) -> Iterator[Database]:
    """The database while the `with` block runs; afterwards its connections are closed. As `create_engine`."""
    database = Database(create_engine(database_url, foreign_keys=foreign_keys))
    try:
        yield database
    finally:
        database.engine.dispose()


def create_engine(database_url: str, *, foreign_keys: bool = True) -> sa.Engine:
    """An engine for `sqlite:///PATH` or `postgresql://…`.

    `foreign_keys=False` is for migrations: SQLite alters a table by copying and dropping it, and with
    enforcement on the drop would delete every row that refers to it.
    Raises StoreUnavailableError for a URL that cannot be used, and each connection does for a PostgreSQL that
    is a standby or cannot store every letter; a password is never repeated.
    """
    url = parse_url(database_url)
    serializer = partial(json.dumps, allow_nan=False, separators=(",", ":"))
    if url.get_backend_name() == "postgresql":
        # Else the driver hands out bytes where a database's encoding is SQL_ASCII, before it can be refused.
        arguments = DEAD_PEER | {"client_encoding": "utf8"}
        engine = sa.create_engine(
            url,
            json_serializer=serializer,
            pool_pre_ping=True,
            pool_size=10,
            connect_args={name: value for name, value in arguments.items() if name not in url.query},
        )
        sa.event.listen(engine, "connect", partial(_configure_postgresql, url))
        sa.event.listen(engine, "handle_error", _leave_a_standby)
        return engine
    try:
        # Its owner's alone: others on the machine need a key to see what is in the database.
        Path(str(url.database)).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailableError(
            f"no folder for the database {url}: {error}; check {_FILE_SETTING}"
        ) from error
    engine = sa.create_engine(url, json_serializer=serializer, connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine, "connect", partial(_configure_sqlite, foreign_keys=foreign_keys))
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def require_there(database_url: str) -> None:
    """Raises StoreUnavailableError for a SQLite database that is not there: opening it would make it."""
    if not is_there(database_url):
        raise StoreUnavailableError(
            f"there is no database {parse_url(database_url).database}; make it with `gtn-nas db upgrade`, or "
            f"check {_FILE_SETTING}"
        )


def is_there(database_url: str) -> bool:
    """False for a SQLite file that does not exist. What a server has is seen when it is asked."""
    url = parse_url(database_url)
    if url.get_backend_name() == "sqlite":
        with suppress(OSError):  # a folder that this user may not look into: opening the file says so
            return Path(str(url.database)).exists()
    return True


def parse_url(database_url: str) -> sa.URL:
    """The URL with its driver filled in; any other database is refused."""
    try:
        url = sa.make_url(database_url)
    except sa.exc.ArgumentError:
        raise StoreUnavailableError(_URL_HELP) from None
    if url.drivername in {"postgres", "postgresql", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in {"sqlite", "sqlite+pysqlite"} and url.database not in {None, "", ":memory:"}:
        return url
    raise StoreUnavailableError(f"{_URL_HELP}, not {url.render_as_string(hide_password=True)}")


BUSY_SECONDS = 30.0

LOG_PAGES = 4000
"""After so many, four times SQLite's own number, the log is brought into the file: the last pages of its many
indexes change with every candidate, and are then written once for four times as many of them."""

LOG_BYTES = 64 * 2**20
"""What SQLite's write-ahead log is cut to once it is done with; it would stay as large as it ever was."""

DEAD_PEER = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,  # milliseconds
}
"""When a connection to a PostgreSQL that went without a word is given up, unless the URL says otherwise.

The system's own bounds are a quarter of an hour for what was sent and two hours for an answer. For so long a
machine that lost its power, or a firewall that forgot the connection, would hold up the dispatcher.
"""

READ_ONLY = ("25006", "0A000")
"""SQLSTATE of a write, and of the begin of a transaction that may write, on a standby."""

_AWAY = (
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    sa.exc.TimeoutError,
    sqlite3.OperationalError,  # while rows are read past SQLAlchemy: see `numeric_rows`
)
_FILE_SETTING = "GTN_NAS_DATABASE_URL or, where it is not set, GTN_NAS_DATA_DIR"
_URL_HELP = (
    "a database's URL, GTN_NAS_DATABASE_URL, must be "
    "sqlite:////PATH/TO/FILE or postgresql://USER@HOST/DATABASE"
)


def _configure_postgresql(url: sa.URL, connection: "psycopg.Connection[Any]", _record: object) -> None:
    shown = url.render_as_string(hide_password=True)
    if connection.info.parameter_status("in_hot_standby") == "on":
        raise StoreUnavailableError(
            f"the database {shown} is a standby, which takes no writes; GTN_NAS_DATABASE_URL must name the "
            "primary, or all of the servers with target_session_attrs=read-write"
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreUnavailableError(
            f"the database {shown} has the encoding {encoding}, in which not every name or message can be "
            f"stored; make one with `createdb --encoding=UTF8 --template=template0 {url.database}`"
        )
    # A pooler (such as PgBouncer) shows a process number of its own. Behind it each transaction may have
    # another session, which does not know the statements that were prepared in the one before.
    (session,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (None,)
    connection.rollback()
    if session != connection.info.backend_pid:
        connection.prepare_threshold = None


def _leave_a_standby(context: sa.engine.ExceptionContext) -> None:
    # A pooler keeps our connection while the server behind it is another, which may be a standby after a
    # switch-over. It counts as lost, and the next one is made anew.
    if getattr(context.original_exception, "sqlstate", None) in READ_ONLY:
        context.is_disconnect = True


def _configure_sqlite(connection: sqlite3.Connection, _record: object, *, foreign_keys: bool) -> None:
    # The driver must not begin transactions by itself: it would do so late and without the write lock.
    connection.isolation_level = None
    # With this log readers and the writer do not block each other, and with synchronous=NORMAL a commit
    # survives the death of any process; only a power cut may take the last commits, never consistency.
    _use_write_ahead_log(connection)
    for pragma in (
        "synchronous=NORMAL",
        f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
        "cache_size=-16384",  # KiB, negated; for each connection
        f"wal_autocheckpoint={LOG_PAGES}",
        f"journal_size_limit={LOG_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """In a new file this needs the file to itself for a moment, and SQLite does not wait its turn for it."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # without what it is busy with
            if not is_busy or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later cannot be upgraded once another has written:
    # writers therefore take the lock at BEGIN, where the busy timeout can wait for it.
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN IMMEDIATE"))


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0]
