"""Pareto fronts of searches, kept in memory and brought forward as candidates finish.

A candidate that is dominated stays dominated, so that the front of a search that has grown is that of its
old front and of what is new. As with ranks (`ranks`), candidates finish in one order, and a copy knows how
far it goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.errors import InvalidValueError
from services.store.copies import Copies
from services.store.numeric_rows import numeric_rows
from services.store.repository import DONE
from services.store.tables import CANDIDATES, metric_column

VALUES_KEPT = 2_000_000
"""Numbers in all fronts of a process together, 8 bytes each; the ones not read for longest go first."""

MANY, PIVOTS = 2_000, 8
"""Of more than MANY the database leaves out what the PIVOTS strongest of the last MANY beat.

A search gets better with time, and what finished last lies close together.
"""


class Fronts:
    """The Pareto fronts of one database's searches. Safe to share between threads."""

    def __init__(self) -> None:
        self._copies: Copies[tuple[str, tuple[str, ...]], _Front] = Copies(VALUES_KEPT)

    def of(self, session: Session, search_id: str, objectives: Sequence[str]) -> list[int]:
        """The numbers of the succeeded candidates that no other dominates, in the session's snapshot.

        Candidates without one of the objectives have no place on the front. An unknown search has none.
        Raises InvalidValueError for an unknown objective.
        """
        from nas.ranking import DIRECTIONS  # all estimators come with it: only who asks pays

        unknown = [name for name in objectives if name not in DIRECTIONS]
        if unknown or not objectives:
            raise InvalidValueError(f"objectives are {list(objectives)}; known: {', '.join(DIRECTIONS)}")
        key = search_id, tuple(objectives)
        known = self._copies.get(key, _Front(-1, np.empty(0, np.int64), np.empty((0, len(objectives)))))
        done = session.execute(DONE, {"id_": search_id}).scalar_one_or_none() or 0
        if known.done < done:
            known = _brought_forward(session, search_id, objectives, known, done)
            self._copies.keep(key, known)  # which may keep another's, newer than this session's snapshot
        return [int(number) for number in known.numbers]


@dataclass(frozen=True, eq=False)
class _Front:
    """After `done` candidates of the search had finished."""

    done: int
    numbers: NDArray[np.int64]  # [F]
    values: NDArray[np.float64]  # [F, objectives]

    @property
    def size(self) -> int:
        return self.numbers.size + self.values.size


def _brought_forward(
    session: Session, search_id: str, objectives: Sequence[str], known: _Front, done: int
) -> _Front:
    """The front with what has finished since, up to `done` in the session's snapshot."""
    from nas.ranking import DIRECTIONS, pareto_front, strongest

    directions = [DIRECTIONS[name] for name in objectives]
    columns = [metric_column(name) for name in objectives]
    succeeded = _COLUMNS.search_id == search_id, _COLUMNS.accuracy.is_not(None)
    given = (column.is_not(None) for column in columns)
    finished = sa.select(_COLUMNS.number, *columns).where(*succeeded, *given)
    if known.done >= 0:
        finished = finished.where(_COLUMNS.completion > known.done)
    if done - known.done > MANY:
        last = numeric_rows(session, finished.where(_COLUMNS.completion > done - MANY))
        rivals = strongest(last[:, 1:], directions, PIVOTS)
        finished = finished.where(*(sa.not_(_beaten_by(rival, columns, directions)) for rival in rivals))
    rows = numeric_rows(session, finished)
    numbers = np.concatenate([known.numbers, rows[:, 0].astype(np.int64)])
    values = np.concatenate([known.values, rows[:, 1:]])
    front = pareto_front(values, directions)
    return _Front(done, numbers[front], values[front])


def _beaten_by(
    rival: Sequence[float], columns: Sequence[sa.ColumnElement[Any]], directions: Sequence[int]
) -> sa.ColumnElement[bool]:
    """Whether a candidate is worse than the rival in every objective: it is then on no Pareto front."""
    return sa.and_(
        *(
            column < value if direction > 0 else column > value
            for column, value, direction in zip(columns, rival, directions, strict=True)
        )
    )


_COLUMNS = CANDIDATES.columns
