"""Keyset pagination: a page starts after a position, never at an offset.

A list is ordered by one column, which may be NULL, and by columns that break its ties and are unique
together. The rows after a position then lie in at most three ranges of one index: ties of the last
value, values beyond it, and rows without a value, which always come last. Reading the ranges one after
the other keeps every query a plain index range on both engines, whatever the size of the table.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.errors import InvalidValueError
from services.store.cursors import Position, decode_cursor, encode_cursor
from services.store.hidden_columns import Unsorted

MAX_PAGE = 1000


@dataclass(frozen=True)
class Order:
    """How a list is sorted. `name` goes into cursors: one made for another order is refused."""

    name: str
    column: sa.Column[Any]
    ties: tuple[sa.Column[Any], ...]
    descending: bool
    ties_descending: bool
    absent: sa.ColumnElement[bool] | None = (
        None  # what rows without a value have in common, if not NULL there
    )
    led_by: tuple[sa.Column[Any], ...] = ()  # stand before the others in an index of this order
    sorted_afterwards: bool = False  # the rows come from elsewhere: no index of the order is to be read

    def key(self, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        """One of the columns, as it stands in statements."""
        return Unsorted(column) if self.sorted_afterwards else column

    @property
    def columns(self) -> tuple[sa.Column[Any], ...]:
        """All columns of the order; together they tell every row from every other."""
        return (self.column, *self.ties)

    def leads(self, column: sa.Column[Any]) -> bool:
        """Whether an index of this order starts where `column` has a given value."""
        return any(column is each for each in (self.column, *self.led_by))

    def clauses(self) -> list[sa.ColumnElement[Any]]:
        """For ORDER BY."""
        key = self.key(self.column)
        return [key.desc() if self.descending else key.asc(), *self.tie_clauses()]

    def tie_clauses(self) -> list[sa.ColumnElement[Any]]:
        """For ORDER BY among rows of one value."""
        keys = map(self.key, self.ties)
        return [key.desc() if self.ties_descending else key.asc() for key in keys]


@dataclass(frozen=True)
class Range:
    """Rows that follow one another in a list: what they have in common, and how they are ordered."""

    conditions: Sequence[sa.ColumnElement[bool]]
    clauses: Sequence[sa.ColumnElement[Any]]


ReadRange: TypeAlias = Callable[[Session, sa.Select[Any], Range, int], Sequence[sa.Row[Any]]]
"""Reads so many of the first rows of a statement that lie in a range."""


def read_along(
    session: Session, statement: sa.Select[Any], part: Range, wanted: int
) -> Sequence[sa.Row[Any]]:
    """Along the index of the order, unless the database knows a better way."""
    return session.execute(statement.where(*part.conditions).order_by(*part.clauses).limit(wanted)).all()


def read_page(
    session: Session,
    statement: sa.Select[Any],
    order: Order,
    *,
    limit: int,
    cursor: str | None,
    valued: bool | None = None,
    read: ReadRange = read_along,
) -> tuple[list[sa.Row[Any]], str | None]:
    """The rows of `statement` after `cursor`, at most `limit`, and the cursor of the page after them.

    `valued` tells whether all of the rows, or none of them, have a value in the order's column, if that is
    known: only one kind is then looked for.
    Raises InvalidCursorError, and InvalidValueError for a limit outside 1 to MAX_PAGE.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidValueError(f"limit is {limit}; a page has 1 to {MAX_PAGE} items")
    position = None if cursor is None else decode_cursor(order.name, order.columns, cursor)
    rows: list[sa.Row[Any]] = []
    for part in _ranges(order, position, valued):
        wanted = limit + 1 - len(rows)  # one more than the page holds tells whether another follows
        if wanted > 0:
            rows += read(session, statement, part, wanted)
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], encode_cursor(order.name, tuple(last._mapping[column] for column in order.columns))


def _ranges(order: Order, position: Position | None, valued: bool | None) -> Iterator[Range]:
    """Conditions that cut the rows after `position` into index ranges, in the order of the list."""
    column, nullable = order.key(order.column), order.column.nullable
    valued = valued if nullable else True
    absent = column.is_(None) if order.absent is None else order.absent
    after_value = position is None or position[0] is not None
    if position is not None:
        value, *ties = position
        if ties and valued is not (value is None):
            tied = absent if value is None else column == value
            beyond = _beyond([*map(order.key, order.ties)], ties, order.ties_descending)
            yield Range([tied, beyond], order.tie_clauses())
        if value is not None and valued is not False:
            yield Range([_beyond([column], [value], order.descending)], order.clauses())
    elif valued is not False:
        yield Range([column.is_not(None)] if nullable else [], order.clauses())
    if after_value and valued is not True:
        yield Range([absent], order.tie_clauses())


def _beyond(
    columns: Sequence[sa.ColumnElement[Any]], values: Sequence[Any], descending: bool
) -> sa.ColumnElement[bool]:
    row: Any = columns[0] if len(columns) == 1 else sa.tuple_(*columns)
    bound = values[0] if len(columns) == 1 else sa.tuple_(*values)
    beyond: sa.ColumnElement[bool] = row < bound if descending else row > bound
    return beyond


def page_of_names(
    names: Iterable[str], list_name: str, *, limit: int, cursor: str | None
) -> tuple[list[str], str | None]:
    """The same of a list in memory, whose items are known by their names and come sorted by them.

    Raises InvalidCursorError.
    """
    after = "" if cursor is None else decode_cursor(list_name, [_NAME], cursor)[0]
    left = sorted(name for name in names if name > after)
    return left[:limit], encode_cursor(list_name, (left[limit - 1],)) if len(left) > limit else None


_NAME: sa.Column[str] = sa.Column("name", sa.String, nullable=False)
