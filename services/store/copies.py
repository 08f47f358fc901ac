"""What has been read of many searches, kept in memory as far as it goes; the ones not read for longest go."""

from collections import OrderedDict
from threading import Lock
from typing import Generic, Protocol, TypeVar


class Copy(Protocol):
    """Of a search, after `done` of its candidates had finished."""

    @property
    def done(self) -> int:
        """Copies of one search with more of it go further."""

    @property
    def size(self) -> int:
        """In whatever the capacity counts."""


Key = TypeVar("Key")
CopyT = TypeVar("CopyT", bound=Copy)


class Copies(Generic[Key, CopyT]):
    """Copies by key, of `capacity` together; one alone may be larger. Safe to share between threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._copies: OrderedDict[Key, CopyT] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key, otherwise: CopyT) -> CopyT:
        """The copy that is there."""
        with self._lock:
            if key in self._copies:
                self._copies.move_to_end(key)
            return self._copies.get(key, otherwise)

    def keep(self, key: Key, copy: CopyT) -> CopyT:
        """The copy, or one that another thread has brought further meanwhile."""
        with self._lock:
            if key not in self._copies or self._copies[key].done < copy.done:
                self._copies[key] = copy
            self._copies.move_to_end(key)
            size = sum(each.size for each in self._copies.values())
            while size > self._capacity and len(self._copies) > 1:
                size -= self._copies.popitem(last=False)[1].size
            return self._copies[key]
