"""A whole database into another one that is empty: from the SQLite file of one machine to a PostgreSQL."""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.errors import ConflictError
from services.store.engine import Database, opened
from services.store.schema import require_database, require_schema, upgrade
from services.store.tables import EVENTS, IDENTITY, JOBS, Table

ROWS_AT_A_TIME = 1000


def copy_database(
    source_url: str, target_url: str, *, on_table: Callable[[str, int], object] = lambda *_: None
) -> dict[str, int]:
    """Copy every row, as the source is at one moment, and answer how many each table has.

    The target's schema is made if it has none. It becomes the same database, identity included: jobs that
    wait or were interrupted go on there, ids and cursors stay valid, and the artifacts stay its own. All rows
    arrive, or none. `on_table` is told of each table that is through.

    Raises:
        ConflictError: the target has rows, or somebody works on a job of the source.
        SchemaMismatchError: the schema of either is not this version's.
        StoreUnavailableError: either cannot be used, or there is no source.
    """
    require_database(source_url)
    with opened(source_url) as source:
        require_schema(source)
        upgrade(target_url)
        with opened(target_url) as target, source.read() as old, target.write() as new:
            _require_idle(source, old)
            _require_empty(target, new)
            new.execute(sa.delete(IDENTITY))  # the one that comes with a schema
            counts: dict[str, int] = {}
            for table in Table.metadata.sorted_tables:  # what others refer to comes first
                counts[table.name] = _copy(table, old, new)
                on_table(table.name, counts[table.name])
            _set_last_event_id(new, _last_event_id(old))
    return counts


def _require_idle(database: Database, session: Session) -> None:
    """What a runner writes after the copy would be lost."""
    jobs = JOBS.columns
    held = sa.select(jobs.id, jobs.kind, jobs.lease_owner, jobs.lease_expires_at)
    job = session.execute(held.where(jobs.lease_expires_at > database.now(session)).limit(1)).first()
    if job is not None:
        raise ConflictError(
            f"{job.kind} {job.id} is being worked on by {job.lease_owner}, whose lease runs out at "
            f"{job.lease_expires_at:%H:%M:%S} UTC; stop controllers and workers first"
        )


def _require_empty(database: Database, session: Session) -> None:
    for table in Table.metadata.sorted_tables:
        if table is not IDENTITY and session.execute(sa.select(sa.literal(1)).select_from(table)).first():
            raise ConflictError(
                f"{database} is not empty: table {table.name} has rows; name a database that is new"
            )


def _copy(table: sa.Table, old: Session, new: Session) -> int:
    count = 0
    for rows in old.execute(sa.select(table)).yield_per(ROWS_AT_A_TIME).mappings().partitions():
        new.execute(sa.insert(table), [dict(row) for row in rows])
        count += len(rows)
    return count


def _last_event_id(session: Session) -> int:
    """The last id that was given away, also when its event has been dropped since: no other event gets it."""
    if session.get_bind().dialect.name == "sqlite":
        return session.execute(_SQLITE_COUNTER).scalar() or 0
    sequence = session.execute(_POSTGRESQL_COUNTER).scalar_one()
    last, is_used = session.execute(sa.text(f"SELECT last_value, is_called FROM {sequence}")).one()
    return last if is_used else 0


def _set_last_event_id(session: Session, last: int) -> None:
    if not last:
        return
    if session.get_bind().dialect.name == "sqlite":
        session.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :table"), _EVENTS)
        session.execute(
            sa.text("INSERT INTO sqlite_sequence VALUES (:table, :last)"), _EVENTS | {"last": last}
        )
    else:
        sequence = session.execute(_POSTGRESQL_COUNTER).scalar_one()
        session.execute(sa.select(sa.func.setval(sequence, last)))


_EVENTS = {"table": EVENTS.name}
_SQLITE_COUNTER = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :table").bindparams(**_EVENTS)
_POSTGRESQL_COUNTER = sa.select(sa.func.pg_get_serial_sequence(EVENTS.name, "id"))
