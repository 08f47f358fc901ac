"""What a filter asks of one column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.store.hidden_columns import Hidden


@dataclass(frozen=True)
class Bound:
    """A condition on one indexed column."""

    column: sa.Column[Any]
    compare: Callable[[Any, Any], Any]  # of `operator`
    value: Any

    def condition(self, *, hidden: bool = False) -> sa.ColumnElement[bool]:
        """For WHERE; a hidden one is checked, and never leads."""
        compared: sa.ColumnElement[bool] = self.compare(
            Hidden(self.column) if hidden else self.column, self.value
        )
        return compared


def count_matches(
    session: Session, passed: sa.Select[Any], bounds: Sequence[Bound], at_most: int
) -> tuple[int, int]:
    """How many rows there are, of which no more are looked at, and how many of these match the bounds."""
    conditions = (each.condition(hidden=True) for each in bounds)
    matches = sa.case((sa.and_(sa.true(), *conditions), 1), else_=0).label("matches")
    rows = passed.with_only_columns(matches).limit(at_most).subquery()
    counts = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(rows.columns.matches), 0))
    both: tuple[int, int] = session.execute(counts.select_from(rows)).one()
    return both
