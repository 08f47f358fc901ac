"""Counters for Prometheus from counts of rows, which fall when searches are deleted."""

from collections.abc import Hashable, Mapping
from threading import Lock
from typing import Generic, TypeVar

NameT = TypeVar("NameT", bound=Hashable)


class RisingCounts(Generic[NameT]):
    """Counts that only rise: what was counted once stays, whatever becomes of the rows.

    A counter that falls has begun anew for Prometheus, and all that it then shows has just happened. What is
    added while more is deleted, between two readings, is not counted.
    """

    def __init__(self) -> None:
        self._found: dict[NameT, float] = {}
        self._risen: dict[NameT, float] = {}
        self._lock = Lock()

    def read(self, found: Mapping[NameT, float]) -> dict[NameT, float]:
        """The risen counts, given those that are found now."""
        with self._lock:
            for name in found.keys() | self._found.keys():
                more = found.get(name, 0) - self._found.get(name, 0)
                self._risen[name] = self._risen.get(name, 0) + max(more, 0)
            self._found = dict(found)
            return dict(self._risen)
