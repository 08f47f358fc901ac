"""The schema of a database: create it, bring it forward or back, and say which one is there."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.orm import Session

from services.errors import ConflictError, SchemaMismatchError
from services.store.engine import Database, is_there, opened, parse_url, require_there
from services.store.tables import Job, Table


def upgrade(database_url: str) -> None:
    """Create the schema or bring it forward to this version of the code; all of it or nothing.

    Processes that upgrade at once take turns, and those that come later find nothing to do. Runners of the
    version before lose their jobs: they know nothing of what new columns should hold.
    Raises StoreUnavailableError, and SchemaMismatchError for a database that is newer than the code or none
    of ours.
    """
    with _migrating(database_url) as (config, session):
        before = _revision(session.connection())
        if before is None:
            _require_no_tables(session.connection())
        command.upgrade(config, "head")
        if before != head():
            _end_leases(session)


def downgrade(database_url: str, revision: str) -> None:
    """Take the schema back to an older `revision`; `base` empties the database.

    What the older one has no place for is lost. Runners lose their jobs, as by an upgrade.
    Raises as `upgrade`, and ConflictError where SQLite is too old to drop a column, or for a `revision` to
    which no way leads back.
    """
    if parse_url(database_url).get_backend_name() == "sqlite" and sqlite3.sqlite_version_info < (3, 35):
        raise ConflictError(
            f"going back to an earlier schema needs SQLite 3.35, and this Python has "
            f"{sqlite3.sqlite_version}; go back with another Python, or to a copy that was made before "
            "(`gtn-nas db backup`)"
        )
    require_database(database_url)
    with _migrating(database_url) as (config, session):
        before = _revision(session.connection())
        _end_leases(session)
        try:
            command.downgrade(config, revision)
        except CommandError as error:
            raise ConflictError(f"no way leads back from schema {before} to {revision}: {error}") from error


def current(database_url: str) -> str | None:
    """The revision of the database's schema; None when it has none. Raises StoreUnavailableError.

    A SQLite file that is not there has none either, and is not made by looking.
    """
    if not is_there(database_url):
        return None
    with opened(database_url) as database, database.read() as session:
        return _revision(session.connection())


def require_database(database_url: str) -> None:
    """Raises StoreUnavailableError or SchemaMismatchError unless there is one with a schema, old or new."""
    require_there(database_url)
    if current(database_url) is None:
        shown = parse_url(database_url).render_as_string(hide_password=True)
        raise SchemaMismatchError(f"the database {shown} has no schema, and so holds nothing; name another")


@cache
def head() -> str:
    """The revision that this version of the code works with."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def require_schema(database: Database) -> None:
    """Raises SchemaMismatchError, with the remedy, unless the database's schema is the code's."""
    with database.read() as session:
        require_revision(session, database)


def require_revision(session: Session, database: Database) -> None:
    """The same in a transaction that is under way."""
    # Alembic's statement is new each time: kept, they would push all others out of the cache.
    revision = _revision(session.connection(execution_options={"compiled_cache": None}))
    if revision != head():
        raise _mismatch(database, revision)


def remedy(revision: str | None) -> str:
    """What to do about a database whose schema is not this version's."""
    return _found_and_remedy(revision)[1]


def _mismatch(database: Database, revision: str | None) -> SchemaMismatchError:
    found, what_to_do = _found_and_remedy(revision)
    return SchemaMismatchError(f"the database {database} has {found}; {what_to_do}")


def _found_and_remedy(revision: str | None) -> tuple[str, str]:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is None:
        return f"no schema yet, not {head()}", _UPGRADE
    if revision in known:
        return f"schema {revision}, not {head()}", _UPGRADE
    if re.fullmatch(r"\d{4}", revision):
        return (
            f"schema {revision}, which is newer than this version of gtn-nas knows (up to {head()})",
            "install the newer version",
        )
    return f"schema {revision!r}, which no version of gtn-nas has", _NAME_ANOTHER


@contextmanager
def _migrating(database_url: str) -> Iterator[tuple[Config, Session]]:
    with opened(database_url, foreign_keys=False) as database, database.write() as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        else:  # SQLite before 3.34 tells of the tables that it knew before its turn came, until it reads one
            connection.exec_driver_sql("SELECT name FROM sqlite_master").all()
        if remedy(revision := _revision(connection)) != _UPGRADE:
            raise _mismatch(database, revision)
        yield _config(connection), session
        _require_intact_references(connection)


def _require_no_tables(connection: sa.Connection) -> None:
    """Of our names: another application's, or what is left of a database of ours."""
    there = sorted(set(sa.inspect(connection).get_table_names()) & set(Table.metadata.tables))
    if there:
        shown = connection.engine.url.render_as_string(hide_password=True)
        raise SchemaMismatchError(
            f"the database {shown} has tables {', '.join(there)} already, and does not tell their schema; "
            f"{_NAME_ANOTHER}"
        )


def _end_leases(session: Session) -> None:
    """As if they had run out: whoever held one cannot write any more."""
    ended = {"lease_owner": "ended by an upgrade", "lease_expires_at": datetime.now(UTC)}
    session.execute(sa.update(Job).where(Job.lease_owner.is_not(None)).values(**ended))


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "services.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: sa.Connection) -> str | None:
    heads = MigrationContext.configure(connection).get_current_heads()
    return ", ".join(sorted(heads)) if heads else None


def _require_intact_references(connection: sa.Connection) -> None:
    # Foreign keys were off on SQLite while its tables were copied; look at them before the commit.
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise SchemaMismatchError(f"the migration would leave dangling references in table {broken[0]!r}")


_UPGRADE = "run `gtn-nas db upgrade`"
_NAME_ANOTHER = "GTN_NAS_DATABASE_URL must name a database of gtn-nas, or restore a copy if this was one"
_MIGRATION_LOCK = 0x67746E  # any number, the same in every process
