"""Columns that SQLite's planner is not to look up by any index: it calls for a plus sign before them."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Hidden(FunctionElement[Any]):
    """The column's value; other engines see the plain column."""

    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(Hidden)
def _plain(element: Hidden, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(next(iter(element.clauses)), **options)


@compiles(Hidden, "sqlite")
def _with_plus(element: Hidden, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{_plain(element, compiler, **options)}"
