"""How many candidates the cluster holds at a time, followed as nodes join and leave."""

import time
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

    def count(self) -> int:
        """At least one, so that a cluster that starts empty sees the demand and grows."""
        if time.monotonic() >= self._refresh_at:
            self._refresh_at = time.monotonic() + REFRESH_SECONDS
            nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's omission
            slots = sum(
                slots_of_node(node["Resources"], self._spec.resources) for node in nodes if node["Alive"]
            )
            self._count = max(1, min(slots, self._spec.max_concurrent or slots))
        return self._count


def slots_of_node(available: dict[str, float], resources: Resources) -> int:
    """How many candidates fit into a node's resources, by Ray's names for them."""
    needs = {"CPU": resources.cpus_per_candidate, "GPU": resources.gpus_per_candidate}
    # The small number forgives rounding: a tenth of a GPU fits ten times.
    return min(int(available.get(kind, 0.0) / need + 1e-9) for kind, need in needs.items() if need > 0)
