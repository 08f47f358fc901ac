"""Tables that fit where they are printed: rows of columns, or one block of lines for each row."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.cli.console import say, stdout
from services.visible import hanging, one_line

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Column:
    """A column; its cells stay on one line, unless they may be folded down to `folds_to` characters.

    One of a table may.
    """

    heading: str
    right: bool = False
    folds_to: int | None = None


GAP = 2
"""Characters between columns."""

MOST_LINES = 6
"""About as often a cell may be folded; where that is too few, rows are shown as blocks."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a table shows; one cell per column in each row."""

    columns: Sequence[Column]
    cells: Sequence[Sequence[str]]
    title: str | None = None


def print_table(*forms: Rows) -> None:
    """Print on stdout: the first form that the terminal is wide enough for, else the first row by row."""
    forms = tuple(
        replace(rows, cells=[tuple(map(one_line, cells)) for cells in rows.cells]) for rows in forms
    )
    console = stdout()
    for rows in forms:
        spare = console.width - _least_width(rows)
        if spare >= 0:
            console.print(_table(rows, spare))
            return
    rows = forms[0]
    blocks = [_block(rows.columns, cells, console.width) for cells in rows.cells]
    say("\n\n".join([rows.title, *blocks] if rows.title else blocks))


def folded(text: str, width: int) -> str:
    """The text in lines of at most `width` characters, broken where an encoding or a sentence has a joint."""
    return "\n".join(line for given in text.split("\n") for line in _fold(given, width))


def _fold(text: str, width: int) -> list[str]:
    joints = (re.split(joint, text) for joint in _JOINTS)
    parts = next((parts for parts in joints if max(map(len, parts)) <= width), list(text))
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1] + part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]


_JOINTS = (r"(?<=[+\s])", r"(?<=[+,\s])|(?=\|[^+])")  # behind nodes and words, and before operations


def _least_width(rows: Rows) -> int:
    """Characters of the narrowest table that cuts nothing which is of no use when cut, such as an id."""
    return sum(_least_widths(rows)) + GAP * (len(rows.columns) - 1)


def _least_widths(rows: Rows) -> list[int]:
    widths = []
    for place, column in enumerate(rows.columns):
        longest = max((len(cells[place]) for cells in rows.cells), default=0)
        if column.folds_to is not None:
            longest = min(longest, max(column.folds_to, longest // MOST_LINES))
        widths.append(max(longest, len(column.heading)))
    return widths


def _table(rows: Rows, spare: int) -> "Table":
    """The table; its cells that may be folded get the characters to spare."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=rows.title,
        box=SIMPLE_HEAD,
        title_justify="left",
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in rows.columns:
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            no_wrap=column.folds_to is None,
            overflow="fold",
        )
    widths = _least_widths(rows)
    for cells in rows.cells:
        lines = [
            cell if column.folds_to is None else folded(cell, width + spare)
            for cell, column, width in zip(cells, rows.columns, widths, strict=True)
        ]
        table.add_row(*map(Text, lines))  # as Text: brackets in a name are no markup
    return table


def _block(columns: Sequence[Column], cells: Sequence[str], width: int) -> str:
    indent = max(len(column.heading) for column in columns) + 2
    lines = []
    for column, cell in zip(columns, cells, strict=True):
        text = cell if column.folds_to is None else folded(cell, width - indent)
        if text:
            lines.append(f"{column.heading:<{indent}}{hanging(text, indent)}")
    return "\n".join(lines)
