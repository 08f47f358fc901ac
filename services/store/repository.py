"""What the parts of the store share: the database, ids, and the look-up of rows."""

import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.errors import LeaseLostError, NotFoundError
from services.store.engine import Database
from services.store.json_values import storable_text
from services.store.tables import JOBS, Job, Table

Row = TypeVar("Row", bound=Table)
Item = TypeVar("Item")

AT_A_TIME = 400
"""Values that one statement is given: SQLite before 3.32 takes 999 parameters, and some values need two."""


class Repository:
    """One subject of the store. Every public method is one transaction, unless it says otherwise."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _now(self, session: Session, told: datetime | None = None) -> datetime:
        return self._database.now(session, told)


def new_id() -> str:
    """64 random bits: short enough to type, and it tells nobody how many came before."""
    return secrets.token_hex(8)


def find(session: Session, table: type[Row], kind: str, identifier: str, *, lock: bool = False) -> Row:
    """The row with this id. Raises NotFoundError, also for a job that was deleted and has left something.

    `lock` keeps other writers off the row until the transaction ends; SQLite's writers exclude each
    other anyway.
    """
    row = session.get(table, identifier, with_for_update=lock) if storable_text(identifier) else None
    if row is None or (isinstance(row, Job) and row.kind is None):
        raise NotFoundError(kind, identifier)
    return row


def batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in lists of at most AT_A_TIME, in order."""
    iterator = iter(items)
    while batch := list(islice(iterator, AT_A_TIME)):
        yield batch


def rows_changed(session: Session, statement: sa.Update | sa.Delete) -> int:
    """Carry it out and answer how many rows it changed. RETURNING, as some write it, needs SQLite 3.35."""
    return cast("sa.CursorResult[Any]", session.execute(statement)).rowcount


def leased_job(session: Session, job_id: str, owner: str | None) -> Job:
    """The job's row, locked, if `owner` holds its lease. Raises LeaseLostError.

    A lease that has run out but that nobody has taken is still held: its owner was slow, not replaced.
    """
    job = session.get(Job, job_id, with_for_update=True)
    if job is None or job.lease_owner != owner:
        raise LeaseLostError(job_id, owner, job.lease_owner if job else None)
    return job


IS_GONE = JOBS.columns.kind.is_(None)
"""Of a job that was deleted, while its candidates and events are being removed."""

LEFT_OVER = sa.select(JOBS.columns.id).where(IS_GONE)
"""The jobs whose candidates and events lists of all jobs leave out; those of one job look for it first."""

DONE = sa.select(JOBS.columns.progress_done).where(JOBS.columns.id == sa.bindparam("id_"), ~IS_GONE)
"""How many candidates of a search have finished: how far what is kept of it in memory can go."""
