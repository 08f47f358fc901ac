"""Columns that a planner is not to look up by any index: it does not where a plus sign stands before them."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Hidden(FunctionElement[Any]):
    """The column's value, of which SQLite does not know that it is in an index; PostgreSQL does."""

    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


class Unsorted(Hidden):
    """For ORDER BY. PostgreSQL does not read along an index either, if the column is a number."""

    inherit_cache = True


@compiles(Hidden)
def _plain(element: Hidden, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(next(iter(element.clauses)), **options)


@compiles(Unsorted, "postgresql")
def _number_with_plus(element: Unsorted, compiler: SQLCompiler, **options: Any) -> str:
    is_number = isinstance(element.type, sa.Float | sa.Integer)
    return (_with_plus if is_number else _plain)(element, compiler, **options)


@compiles(Hidden, "sqlite")
def _with_plus(element: Hidden, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{_plain(element, compiler, **options)}"
