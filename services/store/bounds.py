"""What a filter asks of one column."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from services.store.hidden_columns import Hidden


@dataclass(frozen=True)
class Bound:
    """A condition on one indexed column."""

    column: sa.Column[Any]
    compare: Callable[[Any, Any], Any]  # of `operator`
    value: Any

    def condition(self, *, hidden: bool = False) -> sa.ColumnElement[bool]:
        """For WHERE; a hidden one is checked, and never leads."""
        compared: sa.ColumnElement[bool] = self.compare(
            Hidden(self.column) if hidden else self.column, self.value
        )
        return compared
