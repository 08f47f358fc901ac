"""What can be said about a table of true accuracies before any work."""

from gtn_core.errors import DatasetError
from nas.named_config import NamedConfig
from nas.search_spaces import get_search_space
from nas.true_accuracies import Population, draw_candidates, parse_true_accuracies
from services.controller.problems import invalid_field
from services.controller.validation import within_roots
from services.schemas.accuracy_tables import AccuracyTable
from services.settings import Settings
from services.store import Store


def check_table(
    table: AccuracyTable,
    search_space: NamedConfig,
    settings: Settings,
    store: Store,
    field: str,
    *,
    number: int,
    labels: int = 0,
    population: Population,
    seed: int,
) -> AccuracyTable:
    """The table, its path made absolute. Answers 422 when rows are wrong or there are too few.

    What a path leads to is seen by the worker that reads it.
    """
    if table.path is not None:
        path = within_roots(table.path, settings, store, field)
        return table.model_copy(update={"path": str(path)})
    space = get_search_space(search_space.name, **search_space.options)
    try:
        rows = parse_true_accuracies(table.csv or "", space, name="of the request")
        draw_candidates(rows, space, number=number, labels=labels, population=population, seed=seed)
    except DatasetError as error:
        raise invalid_field(
            f"{field}.csv", str(error), None, "a header, then an encoding and an accuracy"
        ) from error
    return table
