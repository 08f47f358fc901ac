"""A copy of a SQLite database that is in use, and the way back; PostgreSQL brings tools of its own."""

import sqlite3
from contextlib import closing
from pathlib import Path

from services.errors import ConflictError, StoreUnavailableError
from services.store.engine import BUSY_SECONDS, parse_url
from services.store.schema import require_database


def back_up(database_url: str, target: Path) -> int:
    """Copy the database to the file `target` as it is at this moment, while others write to it.

    The copy is compact, readable by its owner alone, and whole or not there. Answers its size in bytes.

    Raises:
        ConflictError: there is such a file already, or the database is no SQLite file.
        SchemaMismatchError: the database has no schema, and so nothing to copy.
        StoreUnavailableError: there is no database, or it or the target's folder cannot be used.
    """
    source = _file_of(database_url, "backed up by pg_dump")
    require_database(database_url)
    if target.exists():
        raise ConflictError(f"{target} exists; name another file, or remove it")
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        with (
            closing(sqlite3.connect(source, timeout=BUSY_SECONDS, isolation_level=None)) as connection,
            closing(sqlite3.connect(partial, isolation_level=None)) as copy,
        ):
            connection.backup(copy)  # VACUUM INTO would do both, but needs SQLite 3.27
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("VACUUM")
        return partial.replace(target).stat().st_size
    except (sqlite3.Error, OSError) as error:
        partial.unlink(missing_ok=True)
        raise StoreUnavailableError(f"no copy of {source} at {target}: {error}") from error


def restore(database_url: str, copy: Path) -> None:
    """Make the database what it was when `back_up` made the file `copy`, which stays as it is.

    Put in its place by hand, a copy would be spoilt: SQLite plays whatever a killed process left beside the
    database, in files of their own, into the copy.

    Raises:
        ConflictError: somebody uses the database, `copy` is no copy of one, or the database is no SQLite
            file.
        StoreUnavailableError: the database or the copy cannot be used.
    """
    target = _file_of(database_url, "restored by pg_restore")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.touch(mode=0o600)
        with (
            closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(target, timeout=0, isolation_level=None)) as connection,
        ):
            _require_copy(source, copy)
            _take_alone(connection, target)
            source.backup(connection)
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailableError(
            f"{copy} is not restored to {target}: {error}; if that file is broken, move it away, with those "
            "of its name and -wal or -shm behind"
        ) from error


def _require_copy(source: sqlite3.Connection, copy: Path) -> None:
    try:
        source.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise ConflictError(f"{copy} is no copy that `gtn-nas db backup` made: {error}") from error


def _take_alone(connection: sqlite3.Connection, target: Path) -> None:
    """A write-ahead log can be left by none but the only one who uses the database."""
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        mode = "wal"
    if mode != "delete":
        raise ConflictError(f"{target} is in use; stop what uses it first")


def _file_of(database_url: str, otherwise: str) -> Path:
    url = parse_url(database_url)
    if url.get_backend_name() != "sqlite":
        raise ConflictError(f"{url.render_as_string(hide_password=True)} is {otherwise}, not by this")
    return Path(str(url.database))
