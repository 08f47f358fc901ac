"""How candidates ended and how long they took, counted per search and brought forward as candidates finish.

Whoever scrapes metrics asks every few seconds, and counting every row each time costs more with each
candidate that was ever scored. As with ranks (`ranks`), candidates finish in one order, and what has ended
stays as it ended: only what has finished since is counted.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.lifecycle import CandidateState, JobKind
from services.store.repository import LEFT_OVER, batched
from services.store.tables import CANDIDATES, JOBS

SECONDS_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Of the histogram of scoring times."""

Outcome = tuple[CandidateState, str | None]
"""A state and, of those that failed, the reason."""


@dataclass(frozen=True)
class CandidateTotals:
    """Of all candidates that there are."""

    outcomes: dict[Outcome, int]
    within: list[int]  # evaluations that took at most as long as each of SECONDS_BOUNDS, then all of them
    seconds: float  # of all evaluations together


class Tallies:
    """The tallies of one database's searches. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: dict[str, _Tally] = {}
        self._lock = Lock()

    def totals(self, session: Session) -> CandidateTotals:
        """Of one moment, which is not before that of the session's snapshot."""
        with self._lock:
            self._bring_forward(session)
            tallies = list(self._known.values())
        outcomes, times = Counter[Outcome](), np.zeros_like(_NOTHING.times)
        for tally in tallies:
            outcomes.update(tally.outcomes)
            times += tally.times
        outcomes.update({(row.state, None): row.count for row in session.execute(_WITHOUT_END)})
        return CandidateTotals(dict(outcomes), [int(count) for count in times[:-1]], float(times[-1]))

    def _bring_forward(self, session: Session) -> None:
        """Count what has finished since; a search that is gone takes its counts along."""
        done = {row.id: row.progress_done for row in session.execute(_SEARCHES)}
        known = {search_id: self._known.get(search_id, _NOTHING) for search_id in done}
        grown = [search_id for search_id, tally in known.items() if tally.done < done[search_id]]
        new = [search_id for search_id in grown if not known[search_id].done]
        # A search that is known is read by itself: each goes on at another candidate.
        for part in [*batched(new), *([each] for each in grown if known[each].done)]:
            rows = defaultdict[str, list[sa.Row[Any]]](list)
            for row in session.execute(_FINISHED, {"search_ids": part, "after": known[part[0]].done}):
                rows[row.search_id].append(row)
            for search_id in part:
                known[search_id] = known[search_id].with_(rows[search_id], done[search_id])
        self._known = known


@dataclass(frozen=True, eq=False)
class _Tally:
    """Of a search, after `done` of its candidates had finished."""

    done: int
    outcomes: Counter[Outcome]
    times: NDArray[np.float64]  # as in CandidateTotals, counts and then the sum

    def with_(self, rows: Sequence[sa.Row[Any]], done: int) -> "_Tally":
        """The tally and what _FINISHED found since."""
        outcomes = self.outcomes + Counter({(row.state, row.reason): row.count for row in rows})
        return _Tally(done, outcomes, sum((np.array(row[4:], np.float64) for row in rows), self.times))


_COLUMNS = CANDIDATES.columns
_NOTHING = _Tally(0, Counter(), np.zeros(len(SECONDS_BOUNDS) + 2))
_SEARCHES = sa.select(JOBS.columns.id, JOBS.columns.progress_done).where(JOBS.columns.kind == JobKind.SEARCH)
_REASON = _COLUMNS.error["reason"].as_string().label("reason")
_FINISHED = (
    sa.select(
        _COLUMNS.search_id,
        _COLUMNS.state,
        _REASON,
        sa.func.count().label("count"),
        # Not by FILTER, which SQLite has only since 3.30.
        *(sa.func.count(sa.case((_COLUMNS.seconds <= bound, 1))) for bound in SECONDS_BOUNDS),
        sa.func.count(_COLUMNS.seconds),
        sa.func.coalesce(sa.func.sum(_COLUMNS.seconds), 0.0),
    )
    .where(
        _COLUMNS.search_id.in_(sa.bindparam("search_ids", expanding=True)),
        _COLUMNS.completion > sa.bindparam("after"),
    )
    .group_by(_COLUMNS.search_id, _COLUMNS.state, _REASON)
)
_WITHOUT_END = (
    sa.select(_COLUMNS.state, sa.func.count().label("count"))
    .where(
        _COLUMNS.accuracy.is_(None),  # what the index of the unscored asks for
        _COLUMNS.state.in_([CandidateState.RUNNING, CandidateState.CANCELLED]),
        _COLUMNS.search_id.not_in(LEFT_OVER),
    )
    .group_by(_COLUMNS.state)
)
