"""A copy of a SQLite database that is in use; PostgreSQL brings tools of its own."""

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
    url = parse_url(database_url)
    if url.get_backend_name() != "sqlite":
        raise ConflictError(
            f"{url.render_as_string(hide_password=True)} is backed up by pg_dump, not by this"
        )
    require_database(database_url)
    source = Path(str(url.database))
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
