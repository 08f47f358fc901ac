"""How a filtered list is read, told to engines that cannot know.

A page of what a filter leaves is found along the index of the order, past all that does not match, or through
the index of a bound, with all that matches sorted afterwards. The first is quick where many match, the second
where few do. SQLite keeps no statistics about how a column's values are spread, and takes a bound that has an
index even when half of the table is within it. PostgreSQL keeps some, but none of how columns go together:
it expects to meet small networks early among the most accurate. Where an engine cannot know, the matches of
each bound are therefore counted, up to a limit, and the columns that should not lead are hidden from its
planner. Where many match that come late in the order, a list of all searches is read class by class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.store.bounds import Bound, count_matches
from services.store.class_pages import read_by_class
from services.store.pagination import Order, ReadRange, read_along
from services.store.tables import FILTERS_IN_INDEX

PASSED = 12_000
"""Entries of an index that are passed in the time in which some 2,000 rows are read and sorted."""


@dataclass(frozen=True)
class AccessPath:
    """A statement with all of a filter's conditions, the order to read it in, and how."""

    statement: sa.Select[Any]
    order: Order
    read: ReadRange = read_along


def access_path(
    session: Session,
    scope: sa.Select[Any],
    bounds: Sequence[Bound],
    order: Order,
    *,
    few: int,
    by_class: bool,
) -> AccessPath:
    """`scope` with the bounds, so that the cheapest way is taken; `by_class` tells whether that is one.

    With M matches among N rows a page of L costs M rows through a bound and L·N/M along the order: about the
    same where M is the root of L·N, which `few` should be.
    """
    others = [each for each in bounds if not order.leads(each.column)]
    read = read_by_class(scope, order, bounds) if by_class else None
    leader = None
    if read is not None or session.get_bind().dialect.name == "sqlite":
        leader = _leader(session, scope, others, few)
    if leader is None and not by_class and order.column.name in ("accuracy", "reward"):
        leader = _leader_with_others(session, scope, others, few)
    if leader is not None:
        conditions = (each.condition(hidden=each is not leader) for each in bounds)
        return AccessPath(scope.where(*conditions), replace(order, sorted_afterwards=True))
    along = scope.where(*(each.condition(hidden=not order.leads(each.column)) for each in bounds))
    return AccessPath(along, order, read or read_along)


def _leader(session: Session, scope: sa.Select[Any], bounds: Sequence[Bound], few: int) -> Bound | None:
    """The bound with the fewest matches, if those are few."""
    best, fewest = None, few + 1
    for bound in bounds:
        count, _ = count_matches(session, scope.where(bound.condition()), [], fewest)
        if count < fewest:
            best, fewest = bound, count
    return best


def _leader_with_others(
    session: Session, scope: sa.Select[Any], bounds: Sequence[Bound], few: int
) -> Bound | None:
    """A bound whose index tells others, too, and few match all of these: it may lead past more of them.

    Only for orders in which the small networks, of which such filters ask, come late.
    """
    for bound in bounds:
        told = FILTERS_IN_INDEX.get(bound.column.name, ())
        others = [each for each in bounds if each.column.name in told]
        if others:
            passed, matches = count_matches(session, scope.where(bound.condition()), others, PASSED + 1)
            if passed <= PASSED and matches <= few:
                return bound
    return None
