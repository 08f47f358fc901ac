"""What a search works for, as its request says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.schemas.analysis import Metric


def first_objective(request: Mapping[str, Any]) -> "Metric":
    """What a search's algorithm heeds, and what its candidates are ranked by; accuracy for other jobs."""
    objective: Metric = (request.get("objectives") or ["accuracy"])[0]
    return objective
