"""Pages of all searches together that are read class by class of size: see `size_classes`.

Both ways look first at each class, of which there are some hundred: at its best match, and at the one with
which it has enough of them. That is a short stretch of an index.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.store.bounds import Bound, count_matches
from services.store.pagination import Order, Range, ReadRange, read_along
from services.store.size_classes import SIZES, class_column, size_class, smallest_of
from services.store.tables import CANDIDATES, FILTERS_IN_CLASSES, MAX_INTEGER

MANY_PAGES = 6
"""So many pages of matches in a class cost as much to sort as one of them costs to be met along the order."""

PASSED = 2_000
"""So many entries along the order are looked at first: where enough of them match, that is quicker."""


def read_by_class(scope: sa.Select[Any], order: Order, bounds: Sequence[Bound]) -> ReadRange | None:
    """How to read the best within bounds of size, or the smallest of some accuracy; None for other lists.

    `scope` is what the bounds are asked of.
    """
    bounded = {each.column.name for each in bounds}
    if not bounded <= {"accuracy", *FILTERS_IN_CLASSES}:  # what the index tells
        return None
    if order.column.name == "accuracy" and order.descending:
        for size in filter(bounded.__contains__, SIZES):
            by_class = partial(_best_first, order, size, _classes_within(bounds, size))
            return partial(_unless_near, scope, bounds, by_class)
    if order.column.name in SIZES and not order.descending and "accuracy" in bounded:
        good = [each.condition() for each in bounds if each.column.name == "accuracy"]  # not hidden
        by_class = partial(_smallest_first, order, good, _classes_within(bounds, order.column.name))
        return partial(_unless_near, scope, bounds, by_class)
    return None


def _unless_near(
    scope: sa.Select[Any],
    bounds: Sequence[Bound],
    by_class: ReadRange,
    session: Session,
    statement: sa.Select[Any],
    part: Range,
    wanted: int,
) -> Sequence[sa.Row[Any]]:
    """Along the order if the page is near there. Of a space it is not looked at: no such index tells it."""
    if all(each.column.name != "space" for each in bounds):
        near = scope.where(*part.conditions).order_by(*part.clauses)
        _, matches = count_matches(session, near, bounds, PASSED)
        if matches >= wanted:
            return read_along(session, statement, part, wanted)
    return by_class(session, statement, part, wanted)


def _best_first(
    order: Order,
    size: str,
    classes: range,
    session: Session,
    statement: sa.Select[Any],
    part: Range,
    wanted: int,
) -> Sequence[sa.Row[Any]]:
    """A class that fills the page alone tells how good all of the page is: only that is read and sorted."""
    matching = statement.where(CANDIDATES.columns[size].is_not(None), *part.conditions)
    found = _matches(session, matching, size, classes, wanted)
    full = [each.last for each in found if each.last is not None]
    if not full:
        return _sorted(session, matching, order, size, [each.value for each in found], wanted)
    floor = max(full)
    good = [each.value for each in found if each.best >= floor]
    return _sorted(session, matching.where(order.column >= floor), order, size, good, wanted)


def _smallest_first(
    order: Order,
    good: Sequence[sa.ColumnElement[bool]],
    classes: range,
    session: Session,
    statement: sa.Select[Any],
    part: Range,
    wanted: int,
) -> Sequence[sa.Row[Any]]:
    """Classes before the first with many matches have few, which are sorted.

    From that class on they are met soon enough along the order.
    """
    size = order.column.name
    matching = statement.where(order.column.is_not(None), *good, *part.conditions)
    found = _matches(session, matching, size, classes, MANY_PAGES * wanted)
    sparse = list(takewhile(lambda each: each.last is None, found))
    rows = list(_sorted(session, matching, order, size, [each.value for each in sparse], wanted))
    if len(rows) < wanted and len(sparse) < len(found):
        behind = statement.where(order.column >= smallest_of(found[len(sparse)].value))
        rows += read_along(session, behind, part, wanted - len(rows))
    return rows


def _matches(
    session: Session, matching: sa.Select[Any], size: str, classes: range, many: int
) -> list[sa.Row[Any, Any, Any]]:
    """Of each class with matches its `value`, the `best` accuracy, and that of the `last` of so many."""
    accuracies = (
        matching.with_only_columns(CANDIDATES.columns.accuracy)
        .where(class_column(size) == _CLASSES.columns.value)
        .order_by(CANDIDATES.columns.accuracy.desc())
        .limit(1)
        .correlate(_CLASSES)
    )
    best, last = accuracies.scalar_subquery(), accuracies.offset(many - 1).scalar_subquery()
    of_each = sa.select(_CLASSES.columns.value, best.label("best"), last.label("last"))
    ends = {"first": classes.start, "last": classes.stop - 1}
    rows = session.execute(of_each.order_by(_CLASSES.columns.value), ends).all()
    return [row for row in rows if row.best is not None]


def _sorted(
    session: Session,
    matching: sa.Select[Any],
    order: Order,
    size: str,
    classes: Sequence[int],
    wanted: int,
) -> Sequence[sa.Row[Any]]:
    """The first of what matches in these classes."""
    if not classes:
        return []
    clauses = replace(order, sorted_afterwards=True).clauses()
    of_them = matching.where(class_column(size).in_(classes)).order_by(*clauses).limit(wanted)
    return session.execute(of_them).all()


def _classes_within(bounds: Sequence[Bound], size: str) -> range:
    low, high = 0, MAX_INTEGER
    for bound in bounds:
        if bound.column.name == size:
            if bound.compare is operator.ge:
                low = math.ceil(max(low, min(bound.value, MAX_INTEGER)))
            else:
                high = math.floor(min(high, max(bound.value, 0)))
    return range(size_class(low), size_class(high) + 1)


_FIRST = sa.select(sa.bindparam("first", type_=sa.Integer).label("value")).cte("classes", recursive=True)
_NEXT = (_FIRST.columns.value + 1).label("value")
_CLASSES = _FIRST.union_all(sa.select(_NEXT).where(_FIRST.columns.value < sa.bindparam("last")))
