"""How a filtered list is read, told to the engine that cannot know.

A page of what a filter leaves is found along the index of the order, past all that does not match, or through
the index of a bound, with all that matches sorted afterwards. The first is quick where many match, the second
where few do. PostgreSQL tells them apart by its statistics. SQLite keeps none about how a column's values are
spread, and takes a bound that has an index even when half of the table is within it. For SQLite the matches
of each bound are therefore counted, up to a limit, and the columns that should not lead are hidden from its
planner.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.store.hidden_columns import Hidden
from services.store.pagination import Order


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


def access_path(
    session: Session, scope: sa.Select[Any], bounds: Sequence[Bound], order: Order, *, few: int
) -> tuple[sa.Select[Any], Order]:
    """`scope` with the bounds, and the order to read it in, so that the cheaper way is taken.

    With M matches among N rows a page of L costs M rows through a bound and L·N/M along the order: about the
    same where M is the root of L·N, which `few` should be.
    """
    others = [each for each in bounds if not order.leads(each.column)]
    leader = _leader(session, scope, others, few) if session.get_bind().dialect.name == "sqlite" else None
    if leader is None:
        return scope.where(*(each.condition(hidden=not order.leads(each.column)) for each in bounds)), order
    conditions = (each.condition(hidden=each is not leader) for each in bounds)
    return scope.where(*conditions), replace(order, sorted_afterwards=True)


def _leader(session: Session, scope: sa.Select[Any], bounds: Sequence[Bound], few: int) -> Bound | None:
    """The bound with the fewest matches, if those are few."""
    best, fewest = None, few + 1
    for bound in bounds:
        matches = scope.with_only_columns(sa.literal(1)).where(bound.condition()).limit(fewest).subquery()
        count = session.execute(sa.select(sa.func.count()).select_from(matches)).scalar_one()
        if count < fewest:
            best, fewest = bound, count
    return best
