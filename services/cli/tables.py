"""Tables that fit where they are printed: rows of columns, or one block of lines for each row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.cli.console import say, stdout
from services.visible import hanging, visible

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Column:
    """A column; its cells stay on one line, unless they may be folded down to `folds_to` characters."""

    heading: str
    right: bool = False
    folds_to: int | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """What a table shows; one cell per column in each row."""

    columns: Sequence[Column]
    cells: Sequence[Sequence[str]]
    title: str | None = None


def print_table(rows: Rows) -> None:
    """Print on stdout: as a table where the terminal is wide enough, else row by row."""
    rows = replace(rows, cells=[tuple(map(visible, cells)) for cells in rows.cells])
    console = stdout()
    if _least_width(rows) <= console.width:
        console.print(_table(rows))
    else:
        blocks = [_block(rows.columns, cells) for cells in rows.cells]
        say("\n\n".join([rows.title, *blocks] if rows.title else blocks))


def _least_width(rows: Rows) -> int:
    """Characters of the narrowest table that cuts nothing which is of no use when cut, such as an id."""
    widths = []
    for place, column in enumerate(rows.columns):
        longest = max((len(cells[place]) for cells in rows.cells), default=0)
        if column.folds_to is not None:
            longest = min(longest, column.folds_to)
        widths.append(max(longest, len(column.heading)))
    return sum(widths) + 3 * len(widths) + 1  # padding and borders


def _table(rows: Rows) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=rows.title, box=SIMPLE_HEAD, title_justify="left")
    for column in rows.columns:
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            no_wrap=column.folds_to is None,
            overflow="fold",
        )
    for cells in rows.cells:
        table.add_row(*map(Text, cells))  # as Text: brackets in a name are no markup
    return table


def _block(columns: Sequence[Column], cells: Sequence[str]) -> str:
    indent = max(len(column.heading) for column in columns)
    lines = zip(columns, cells, strict=True)
    return "\n".join(
        f"{column.heading:<{indent}}  {hanging(cell, indent + 2)}" for column, cell in lines if cell
    )
