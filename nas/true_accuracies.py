"""Tables of true accuracies, such as a benchmark's, and the candidates drawn from them."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from gtn_core.errors import DatasetError, InvalidArchitectureError
from nas.architecture import Architecture
from nas.search_spaces.base import SearchSpace

Population = Literal["all", "unique"]
"""All architectures of a table, or the first of each canonical hash."""


@dataclass(frozen=True, slots=True)
class TrueAccuracy:
    """What an architecture reaches when it is trained in full, in the table's own unit."""

    architecture: Architecture
    accuracy: float


def read_true_accuracies(file: Path, space: SearchSpace) -> list[TrueAccuracy]:
    """Read a CSV with a header, whose first column is an encoding and whose second an accuracy.

    Raises DatasetError naming the line that is wrong, without its text: whoever may name a file need not be
    one who may read it.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"table {file} cannot be read: {error}") from error
    return parse_true_accuracies(text, space, name=str(file), quotes=False)


def parse_true_accuracies(
    text: str, space: SearchSpace, *, name: str, quotes: bool = True
) -> list[TrueAccuracy]:
    """Read the text of such a CSV. Raises DatasetError naming the line that is wrong of the table `name`."""
    try:
        header, *rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    except csv.Error as error:
        raise DatasetError(f"table {name} cannot be read: {error}") from error
    except ValueError:
        raise DatasetError(
            f"table {name} is empty; it needs a header and a row for each architecture"
        ) from None
    if len(header) < 2 or _is_number(header[1]):
        raise DatasetError(f"table {name} needs a header with two columns such as architecture,accuracy")
    table = [
        _read_row(row, space, f"{name}:{line}", quotes=quotes)
        for line, row in enumerate(rows, start=2)
        if any(map(str.strip, row))
    ]
    seen: set[str] = set()
    for encoding in (entry.architecture.encoding for entry in table):
        if encoding in seen:
            raise DatasetError(f"table {name} has architecture {encoding} twice", remedy="keep one row")
        seen.add(encoding)
    return table


def draw_candidates(
    table: Sequence[TrueAccuracy],
    space: SearchSpace,
    *,
    number: int,
    labels: int = 0,
    population: Population,
    seed: int,
) -> list[TrueAccuracy]:
    """Draw `number` distinct entries uniformly from the population, and behind them `labels` others.

    Labels are isomorphic to none of the entries: what is known of a network says nothing of itself. Raises
    DatasetError when the population has fewer.
    """
    if population == "unique":
        first: dict[str, TrueAccuracy] = {}
        for entry in table:
            first.setdefault(space.canonical_hash(entry.architecture), entry)
        table = list(first.values())
    if not 1 <= number <= len(table):
        raise DatasetError(
            f"cannot draw {number} candidates: the table has {len(table)} architectures in population "
            f"{population!r}",
            remedy=f"give 1 to {len(table)}",
        )
    order = [table[index] for index in np.random.default_rng(seed).permutation(len(table))]
    drawn = order[:number]
    if labels:
        networks = {space.canonical_hash(entry.architecture) for entry in drawn}
        rest = (each for each in order[number:] if space.canonical_hash(each.architecture) not in networks)
        drawn += islice(rest, labels)
    if len(drawn) < number + labels:
        raise DatasetError(
            f"cannot draw {labels} labels beside {number} candidates: the table has {len(drawn) - number} "
            f"other architectures in population {population!r}",
            remedy="lower one of the two",
        )
    return drawn


def _read_row(row: Sequence[str], space: SearchSpace, place: str, *, quotes: bool) -> TrueAccuracy:
    if len(row) < 2:
        raise DatasetError(f"{place} has {len(row)} column(s); expected an architecture and an accuracy")
    if not _is_number(row[1]):
        accuracy = f"accuracy {row[1]!r}" if quotes else "the accuracy in column 2"
        raise DatasetError(f"{place}: {accuracy} is no finite number")
    try:
        return TrueAccuracy(space.parse(row[0].strip()), float(row[1]))
    except InvalidArchitectureError as error:
        reason = error if quotes else f"column 1 is no architecture of {space.name}"
        raise DatasetError(f"{place}: {reason}") from (error if quotes else None)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
