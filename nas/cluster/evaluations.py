"""Workers in the middle of a candidate, and for how long each has been."""

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError

LONGEST_TICK_SECONDS = 1.0
"""What counts between two looks at most: while a search proposes, or waits for its database or for the
machine to wake up, nobody hears of results that are there.
"""

UNUSUAL_TIMES, UNUSUAL_SECONDS = 10.0, 600.0
"""An evaluation is unusually long that takes so many times as long as any before, and at least so long."""


class _AtWork(NamedTuple):
    worker: ActorHandle[Any]
    since: float


class Evaluations:
    """Times evaluations by looks at them, and ends those that are beyond the limit."""

    def __init__(self, limit_seconds: float | None) -> None:
        self._limit = limit_seconds or math.inf
        self._at_work: dict[int, _AtWork] = {}  # by the number of the candidate
        self._timed_out: set[int] = set()
        self._longest = 0.0
        self._elapsed, self._looked_at = 0.0, time.monotonic()

    def __bool__(self) -> bool:
        return bool(self._at_work)

    def begin(self, number: int, worker: ActorHandle[Any]) -> None:
        """A worker takes the candidate up."""
        self._at_work[number] = _AtWork(worker, self._elapsed)

    def end(self, number: int, *, evaluated: bool) -> bool:
        """The candidate's worker is done with it, or lost; whether it was ended here, beyond the limit."""
        ended = self._at_work.pop(number, None)
        if evaluated and ended is not None:
            self._longest = max(self._longest, self._elapsed - ended.since)
        timed_out = number in self._timed_out
        self._timed_out.discard(number)
        return timed_out

    def look(self) -> None:
        """Kill workers whose candidate takes too long: one that hangs hears nothing."""
        now = time.monotonic()
        self._elapsed += min(now - self._looked_at, LONGEST_TICK_SECONDS)
        self._looked_at = now
        for number in self._longer_than(self._limit):
            if number not in self._timed_out:
                self._timed_out.add(number)
                _kill(self._at_work[number].worker)

    def unusual(self) -> int | None:
        """The candidate that takes unusually long where nothing limits it, if there is one."""
        if not self._longest or self._limit < math.inf:
            return None
        return next(self._longer_than(max(UNUSUAL_SECONDS, UNUSUAL_TIMES * self._longest)), None)

    def named_in(self, text: str) -> set[int]:
        """The candidates whose workers a text of Ray's names."""
        return {number for number, each in self._at_work.items() if each.worker._actor_id.hex() in text}

    def kill_all(self) -> None:
        """End all workers that are in the middle of a candidate."""
        while self._at_work:
            _kill(self._at_work.popitem()[1].worker)

    def _longer_than(self, seconds: float) -> Iterator[int]:
        return (number for number, each in self._at_work.items() if self._elapsed - each.since > seconds)


def _kill(worker: ActorHandle[Any]) -> None:
    with suppress(RayError):  # it is gone, or cannot be reached
        ray.kill(worker)
