"""The table of true accuracies that a request carries or names."""

from pathlib import Path

from nas.search_spaces.base import SearchSpace
from nas.true_accuracies import TrueAccuracy, parse_true_accuracies, read_true_accuracies
from services.schemas.accuracy_tables import AccuracyTable


def read_table(table: AccuracyTable, space: SearchSpace) -> list[TrueAccuracy]:
    """Its rows. Raises DatasetError naming the line that is wrong."""
    if table.csv is not None:
        return parse_true_accuracies(table.csv, space, name="of the request")
    return read_true_accuracies(Path(table.path or ""), space)
