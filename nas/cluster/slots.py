"""How many candidates the cluster holds at a time, followed as nodes join and leave."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray

from gtn_core.errors import GtnNasError
from nas.search_spec import Resources, SearchSpec

REFRESH_SECONDS = 2.0
"""Time between two looks at the cluster's nodes."""


class NoRoomError(GtnNasError):
    """No node of the cluster can hold one candidate, and none has joined in the time that was given."""


@dataclass(frozen=True, slots=True)
class RoomWatch:
    """What happens while no node can hold one candidate: who is told, and for how long it is borne."""

    on_waiting: Callable[[str | None], None] = lambda _: None
    """Called with the reason when the wait begins, and with None when it is over."""

    limit_seconds: float | None = None
    """None waits for ever, for a cluster that grows on demand."""


class Slots:
    """Counts slots node by node: a candidate does not span two."""

    def __init__(self, spec: SearchSpec, watch: RoomWatch) -> None:
        self._spec, self._watch = spec, watch
        self._count, self._refresh_at = 1, 0.0
        self._waiting_since: float | None = None

    def count(self) -> int:
        """At least one, so that a cluster that starts empty sees the demand and grows.

        Raises NoRoomError, and what the watch raises.
        """
        now = time.monotonic()
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH_SECONDS
            nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's omission
            alive = [node["Resources"] for node in nodes if node["Alive"]]
            slots = sum(slots_of_node(each, self._spec.resources) for each in alive)
            self._count = max(1, min(slots, self._spec.max_concurrent or slots))
            self._note_room(slots > 0, alive, now)
        return self._count

    def _note_room(self, room: bool, nodes: list[dict[str, float]], now: float) -> None:
        if room:
            if self._waiting_since is not None:
                self._waiting_since = None
                self._watch.on_waiting(None)
            return
        reason = _no_room(nodes, self._spec.resources)
        if self._waiting_since is None:
            self._waiting_since = now
            self._watch.on_waiting(reason)
        limit = self._watch.limit_seconds
        if limit is not None and now - self._waiting_since >= limit:
            waited = f" after {limit:g} s" if limit else ""
            raise NoRoomError(f"{reason}{waited}; add such a node, or ask for less in `resources`")


def _no_room(nodes: list[dict[str, float]], resources: Resources) -> str:
    """Why no candidate can start, with what there is: "a node with 1 CPU and 1 GPU; the cluster has …"."""
    needs = f"{resources.cpus_per_candidate:g} CPUs and {resources.gpus_per_candidate:g} GPUs"
    found = [f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes]
    counted = ", ".join(f"{count} with {what}" for what, count in Counter(found).items())
    return f"a candidate needs a node with {needs}; the cluster's nodes: {counted or 'none'}"


def slots_of_node(available: dict[str, float], resources: Resources) -> int:
    """How many candidates fit into a node's resources, by Ray's names for them."""
    needs = {"CPU": resources.cpus_per_candidate, "GPU": resources.gpus_per_candidate}
    # The small number forgives rounding: a tenth of a GPU fits ten times.
    return min(int(available.get(kind, 0.0) / need + 1e-9) for kind, need in needs.items() if need > 0)
