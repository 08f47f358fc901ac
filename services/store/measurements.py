"""The measurements of a whole search as arrays, kept in memory and brought forward as candidates finish.

Plots and statistics need every candidate of a search, and ask again each second while it runs. As with ranks
(`ranks`), candidates finish in one order, so that a copy knows how far it goes and reads only what is new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from services.errors import NotFoundError
from services.lifecycle import CandidateState
from services.store.copies import Copies
from services.store.engine import Database
from services.store.numeric_rows import numeric_rows
from services.store.records import EventType
from services.store.repository import DONE, Repository, batched
from services.store.tables import CANDIDATES, EVENTS, METRIC_COLUMNS

VALUES_KEPT = 24_000_000
"""Numbers in all copies of a process together, 8 bytes each; the searches not read for longest go first."""

READERS = 16
"""Searches that are read at the same time, if their names do not collide."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """The succeeded candidates of a search, in the order in which they finished."""

    done: int  # candidates that had finished, failed ones included
    numbers: NDArray[np.int64]  # [N]
    completions: NDArray[np.int64]  # [N], 1 for the first candidate to finish, failed ones counted
    values: Mapping[str, NDArray[np.float64]]  # [N] by metric; NaN where a candidate has none

    @property
    def size(self) -> int:
        """How many numbers this holds."""
        return len(self.numbers) * (2 + len(self.values))


REASONS = 20
"""How many reasons a search's failures are told by."""


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many candidates failed for one reason."""

    reason: str
    count: int
    first: int  # the number of one of them
    detail: str  # that one's


class MeasurementRepository(Repository):
    """Readers of a whole search at a time. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._copies: Copies[tuple[str, tuple[str, ...]], Measurements] = Copies(VALUES_KEPT)
        self._reading = [Lock() for _ in range(READERS)]

    def measurements(self, search_id: str, extra: Sequence[str] = ()) -> Measurements:
        """All measurements of a search, of one moment: METRIC_COLUMNS, and the metrics called `extra`.

        Raises NotFoundError.
        """
        key = search_id, tuple(extra)
        # A page asks for several plots at once: the first reads for all of them.
        with self._reading[hash(key) % READERS], self._database.read() as session:
            known = self._copies.get(key, _nothing(extra))
            done = session.execute(DONE, {"id_": search_id}).scalar_one_or_none()
            if done is None:
                raise NotFoundError("search", search_id)
            if done > known.done:
                columns = [_COLUMNS.extra_metrics[name].as_float() for name in extra]
                stretch = {"search_id_": search_id, "after": max(known.done, 0), "done": done}
                rows = numeric_rows(session, _FINISHED.add_columns(*columns), stretch)
                known = _brought_forward(known, done, rows)
            return self._copies.keep(key, known)

    def finish_times(self, search_id: str, numbers: Sequence[int]) -> dict[int, datetime]:
        """When these candidates finished; those that have not are left out. Raises NotFoundError."""
        rows = self._rows_of(search_id, numbers, _COLUMNS.number, _COLUMNS.finished_at)
        return {row.number: row.finished_at for row in rows if row.finished_at is not None}

    def encodings(self, search_id: str, numbers: Sequence[int]) -> dict[int, str]:
        """The architectures of these candidates. Raises NotFoundError."""
        rows = self._rows_of(search_id, numbers, _COLUMNS.number, _COLUMNS.encoding)
        return {row.number: row.encoding for row in rows}

    def children(self, search_id: str, number: int, *, limit: int) -> list[int]:
        """The numbers of the first candidates that were made from this one."""
        made: set[int] = set()
        with self._database.read() as session:
            for parent in (_COLUMNS.parent, _COLUMNS.other_parent):  # one index each
                wanted = sa.select(_COLUMNS.number).where(_COLUMNS.search_id == search_id, parent == number)
                made.update(session.scalars(wanted.order_by(_COLUMNS.number).limit(limit)))
        return sorted(made)[:limit]

    def recent_rate(self, search_id: str, *, over: int = 50) -> float | None:
        """Candidates per second over the latest `over` to finish, or since its runner took the search if it
        has finished fewer; None while it has finished none.

        Not between the first ends alone: candidates of several slots that began together end together.
        """
        events, types = EVENTS.columns, [EventType.STATE, EventType.SUSPENDED, EventType.CANDIDATE]
        telling = events.job_id == search_id, events.type.in_(types)
        latest = sa.select(events.type, events.created_at).where(*telling).order_by(events.id.desc())
        with self._database.read() as session:
            rows = session.execute(latest.limit(over + 1)).all()
        # What came before the latest other event says nothing: the search was paused or asleep, or had ended.
        done = next((at for at, row in enumerate(rows) if row.type != EventType.CANDIDATE), len(rows) - 1)
        seconds = (rows[0].created_at - rows[done].created_at).total_seconds() if rows else 0.0
        return done / seconds if seconds > 0 else None

    def count_by_state(self, search_id: str) -> dict[CandidateState, int]:
        """How many candidates of a search are in each state; absent states have none."""
        counts = sa.select(_COLUMNS.state, sa.func.count()).where(_COLUMNS.search_id == search_id)
        with self._database.read() as session:
            rows = session.execute(counts.group_by(_COLUMNS.state)).all()
        return {state: count for state, count in rows}  # noqa: C416 - rows are no tuples to the type checker

    def failures(self, search_id: str) -> list[FailureCount]:
        """The most frequent REASONS why candidates of a search failed, each with the first that had it."""
        reason, detail = (_COLUMNS.error[name].as_string() for name in ("reason", "detail"))
        failed = _COLUMNS.search_id == search_id, _COLUMNS.state == CandidateState.FAILED
        count, first = sa.func.count(), sa.func.min(_COLUMNS.number)
        counted = sa.select(reason, count, first).where(*failed).group_by(reason)
        with self._database.read() as session:
            rows = session.execute(counted.order_by(count.desc(), first).limit(REASONS)).all()
            firsts = sa.select(_COLUMNS.number, detail).where(
                *failed, _COLUMNS.number.in_([first for _, _, first in rows])
            )
            details = {number: text for number, text in session.execute(firsts)}  # noqa: C416
        return [FailureCount(why or "error", many, at, details[at] or "") for why, many, at in rows]

    def _rows_of(self, search_id: str, numbers: Sequence[int], *columns: sa.Column[Any]) -> list[sa.Row[Any]]:
        rows: list[sa.Row[Any]] = []
        with self._database.read() as session:
            # Deleted since the numbers were read, it may have some of the candidates, and others not.
            if session.execute(DONE, {"id_": search_id}).first() is None:
                raise NotFoundError("search", search_id)
            for part in batched(map(int, numbers)):
                wanted = sa.select(*columns).where(_COLUMNS.search_id == search_id, _COLUMNS.number.in_(part))
                rows += session.execute(wanted)
        return rows


def _nothing(extra: Sequence[str]) -> Measurements:
    empty = np.empty(0, np.int64)
    return Measurements(-1, empty, empty, {name: np.empty(0) for name in (*METRIC_COLUMNS, *extra)})


def _brought_forward(known: Measurements, done: int, rows: NDArray[np.float64]) -> Measurements:
    """The copy with what has finished since, [N, 2 + metrics]. A re-made search has another id."""
    if not len(rows):
        return Measurements(done, known.numbers, known.completions, known.values)
    numbers, completions = rows[:, :2].astype(np.int64).T
    return Measurements(
        done,
        np.concatenate([known.numbers, numbers]),
        np.concatenate([known.completions, completions]),
        {
            name: np.concatenate([before, column])
            for (name, before), column in zip(known.values.items(), rows[:, 2:].T, strict=True)
        },
    )


_COLUMNS = CANDIDATES.columns
_FINISHED = (
    sa.select(_COLUMNS.number, _COLUMNS.completion, *(_COLUMNS[name] for name in METRIC_COLUMNS))
    .where(
        _COLUMNS.search_id == sa.bindparam("search_id_"),
        _COLUMNS.completion > sa.bindparam("after"),
        _COLUMNS.completion <= sa.bindparam("done"),
        _COLUMNS.accuracy.is_not(None),
    )
    .order_by(_COLUMNS.completion)
)
