"""Measurements that every worker of a search needs: each is made once, by whoever comes first."""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


def measure_all(
    measurements: "Measurements", key: str, items: Sequence[Item], measure: Callable[[Item], Value]
) -> list[Value]:
    """What `measure` says of all items, here or wherever else the same `key` is asked for."""
    while isinstance(due := measurements.due(key, len(items)), int):
        measurements.record(key, due, measure(items[due]))
    return due


class Measurements(Protocol):
    """Numbered measurements by key: which is to be made next, and what the others say."""

    def due(self, key: str, size: int) -> int | list[Any]:
        """The number of one that is missing, or all `size` of them once they are made."""
        ...

    def record(self, key: str, number: int, value: Any) -> None:
        """Keep what was measured; the first value stays, so that all who ask get the same."""
        ...


class OwnMeasurements:
    """In the memory of one process.

    Nobody is waited for: once each has been given out, those that are missing are given out again, the oldest
    first. Whoever took one may have died, and who asks has nothing else to do.
    """

    def __init__(self) -> None:
        self._made: defaultdict[str, dict[int, Any]] = defaultdict(dict)
        self._missing: dict[str, deque[int]] = {}

    def due(self, key: str, size: int) -> int | list[Any]:
        """See `Measurements.due`."""
        made = self._made[key]
        if len(made) == size:
            return [made[number] for number in range(size)]
        missing = self._missing.setdefault(key, deque(range(size)))
        while missing[0] in made:
            missing.popleft()
        missing.rotate(-1)
        return missing[-1]

    def record(self, key: str, number: int, value: Any) -> None:
        """See `Measurements.record`."""
        self._made[key].setdefault(number, value)
