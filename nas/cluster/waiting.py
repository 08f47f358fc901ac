"""Who is told that no candidate gets on, and for how long that is borne."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gtn_core.errors import GtnNasError
from nas.cluster.slots import Slots

PATIENCE_SECONDS = 60.0
"""For a worker to start: one takes up to ten on a machine with much else to do."""


class NoRoomError(GtnNasError):
    """No node of the cluster can hold one candidate, and none has joined in the time that was given."""


@dataclass(frozen=True, slots=True)
class RoomWatch:
    """What happens while no candidate gets on: who is told, and how long a cluster without room is borne."""

    on_waiting: Callable[[str | None], None] = lambda _: None
    """Called with the reason when the wait begins or its reason changes, and with None when it is over."""

    limit_seconds: float | None = None
    """How long no node may hold a candidate. None waits for ever, for a cluster that grows on demand."""


class Waiting:
    """Tells the watch of a search why candidates do not get on: no room, no worker, or one seems to hang."""

    def __init__(self, watch: RoomWatch, slots: Slots) -> None:
        self._watch, self._slots = watch, slots
        self._reason: str | None = None
        self._without_room_since: float | None = None
        self._without_worker_since: float | None = None

    def look(self, without_worker: bool, unusual: int | None = None) -> None:
        """`without_worker` says whether candidates are in flight and none of them has a worker.

        `unusual` is the candidate whose evaluation takes unusually long, if there is one.
        Raises NoRoomError, and what the watch raises.
        """
        now = time.monotonic()
        shortage = self._slots.shortage
        self._without_room_since = _since(self._without_room_since, shortage is not None, now)
        self._without_worker_since = _since(
            self._without_worker_since, without_worker and shortage is None, now
        )
        self._tell(shortage or self._no_worker(now) or _hangs(unusual))
        limit, since = self._watch.limit_seconds, self._without_room_since
        if limit is not None and self._slots.without_nodes:  # which then is no matter of room
            limit = max(limit, PATIENCE_SECONDS)
        if since is not None and limit is not None and now - since >= limit:
            waited = f" after {limit:g} s" if limit else ""
            raise NoRoomError(f"{shortage}{waited}; add such a node, or ask for less in `resources`")

    def leave_out(self, seconds: float) -> None:
        """So long nobody could have heard of a worker that has started."""
        if self._without_worker_since is not None:
            self._without_worker_since += seconds

    def _no_worker(self, now: float) -> str | None:
        if self._without_worker_since is None or now - self._without_worker_since < PATIENCE_SECONDS:
            return None
        return (
            f"a worker: none has started for {PATIENCE_SECONDS:g} s; either others hold all that the "
            "cluster's nodes have, or Ray cannot start it, and its logs say why (session_latest/logs below "
            "/tmp/ray)"
        )

    def _tell(self, reason: str | None) -> None:
        if reason != self._reason:
            self._reason = reason
            self._watch.on_waiting(reason)


def _hangs(unusual: int | None) -> str | None:
    if unusual is None:
        return None
    return (
        f"candidate {unusual}, whose evaluation takes over ten times as long as any before; if it hangs, "
        "pause and resume the search, which begins it anew, or clone it with `max_candidate_seconds`, which "
        "gives such candidates up"
    )


def _since(earlier: float | None, holds: bool, now: float) -> float | None:
    if not holds:
        return None
    return now if earlier is None else earlier
