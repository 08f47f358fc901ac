"""Ranks of candidates within their searches, from sorted copies of the rewards that are kept in memory.

Counting the better candidates in the database costs as much as the rank is high, for each row of a page. A
search's candidates finish in one order, though (`completion` grows with each commit), so that a copy knows
how far it goes: what has finished since is read and merged in, and nothing is ever wrong for long enough
to be seen. Merging M into N costs O(N + M), a rank O(log N).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.store.copies import Copies
from services.store.numeric_rows import numeric_rows
from services.store.repository import batched
from services.store.tables import CANDIDATES, JOBS

CANDIDATES_KEPT = 4_000_000
"""In all copies of a process together, at 16 bytes each; the searches not read for longest go first."""


class Ranks:
    """The ranks of one database's candidates. Safe to share between threads."""

    def __init__(self) -> None:
        self._copies: Copies[str, _Copy] = Copies(CANDIDATES_KEPT)

    def of(self, session: Session, rows: Sequence[sa.Row[Any]]) -> list[int | None]:
        """The rank of each row, which must have search_id, number and reward; None without a reward.

        1 is the best reward of the search, equal ones are in the order of their numbers. All ranks of a
        search are of one moment, which is not before that of the session's snapshot.
        """
        scored = sorted({row.search_id for row in rows if row.reward is not None})
        copies = self._current(session, scored)
        return [
            None if row.reward is None else copies[row.search_id].rank(row.reward, row.number) for row in rows
        ]

    def _current(self, session: Session, search_ids: list[str]) -> "dict[str, _Copy]":
        copies: dict[str, _Copy] = {}
        for part in batched(search_ids):
            for search_id, done in session.execute(_DONE, {"search_ids": part}):
                known = self._copies.get(search_id, _EMPTY)
                if known.done < done:
                    further = _brought_forward(session, search_id, known, done)
                    known = self._copies.keep(search_id, further)
                copies[search_id] = known
        return copies


@dataclass(frozen=True, eq=False)
class _Copy:
    """The succeeded candidates of a search after `done` had finished, the best first.

    Each is one complex number, minus its reward and, as the imaginary part, its number: NumPy orders complex
    numbers by their real parts and equal ones by their imaginary parts.
    """

    done: int
    keys: NDArray[np.complex128]  # [N], ascending

    @property
    def size(self) -> int:
        return len(self.keys)

    def rank(self, reward: float, number: int) -> int:
        return 1 + int(np.searchsorted(self.keys, complex(-reward, number)))


_EMPTY = _Copy(-1, np.empty(0, np.complex128))


def _brought_forward(session: Session, search_id: str, known: _Copy, done: int) -> _Copy:
    """The copy with what has finished since, up to `done` in the session's snapshot."""
    rows = numeric_rows(
        session,
        _FINISHED if known is _EMPTY else _FINISHED_SINCE,
        {"search_id_": search_id, "after": known.done},
    )
    rows[:, 0] *= -1
    # What is read along the index, and what is known, is in order: a stable sort sees that.
    return _Copy(done, np.sort(np.concatenate([known.keys, rows.view(np.complex128)[:, 0]]), kind="stable"))


_COLUMNS = CANDIDATES.columns
_DONE = sa.select(JOBS.columns.id, JOBS.columns.progress_done).where(
    JOBS.columns.id.in_(sa.bindparam("search_ids", expanding=True))
)
_FINISHED = sa.select(_COLUMNS.reward, _COLUMNS.number).where(  # all of it is in an index
    _COLUMNS.search_id == sa.bindparam("search_id_"), _COLUMNS.reward.is_not(None)
)
_FINISHED_SINCE = _FINISHED.where(_COLUMNS.completion > sa.bindparam("after"))
