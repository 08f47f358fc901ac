"""How many candidates the cluster holds at a time, followed as nodes join and leave."""

import time
from collections import Counter
from typing import Any

import ray

from nas.search_spec import Resources, SearchSpec

REFRESH_SECONDS = 2.0
"""Time between two looks at the cluster's nodes."""


class Slots:
    """Counts slots node by node: a candidate does not span two."""

    def __init__(self, spec: SearchSpec) -> None:
        self._spec = spec
        self._count, self._refresh_at = 1, 0.0
        self.shortage: str | None = None
        """Why no node can hold a candidate, at the last count."""
        self.without_nodes = False

    def count(self) -> int:
        """At least one, so that a cluster that starts empty sees the demand and grows."""
        now = time.monotonic()
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH_SECONDS
            nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's omission
            alive = [node["Resources"] for node in nodes if node["Alive"]]
            slots = sum(
                self._spec.resources.slots(cpus=each.get("CPU", 0), gpus=each.get("GPU", 0)) for each in alive
            )
            self.without_nodes = not alive
            self._count = max(1, min(slots, self._spec.max_concurrent or slots))
            self.shortage = None if slots else _no_room(alive, self._spec.resources)
        return self._count


def _no_room(nodes: list[dict[str, float]], resources: Resources) -> str:
    """Why no candidate can start, with what there is: "a node with 1 CPU and 1 GPU; the cluster has …"."""
    needs = f"{resources.cpus_per_candidate:g} CPUs and {resources.gpus_per_candidate:g} GPUs"
    found = [f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes]
    counted = ", ".join(f"{count} with {what}" for what, count in Counter(found).items())
    return f"a candidate needs a node with {needs}; the cluster's nodes: {counted or 'none'}"
