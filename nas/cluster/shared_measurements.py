"""The measurements that a search's workers share, in one small process beside them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas.estimators.measurements import OwnMeasurements


@contextmanager
def shared_measurements() -> Iterator["SharedMeasurements"]:
    """Measurements for the workers of one search; they end with it."""
    # Beside this process, so that no idle node is kept for its sake. Should it be lost it begins anew, empty,
    # and what is still needed is made again.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    remote: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(OwnMeasurements)
    actor: ActorHandle[OwnMeasurements] = remote.options(scheduling_strategy=here).remote()
    try:
        yield SharedMeasurements(actor)
    finally:
        with suppress(RayError):  # Ray may be gone, and the actor with it
            ray.kill(actor)


class SharedMeasurements:
    """`Measurements` that can be sent to the workers, each of which asks the same actor."""

    def __init__(self, actor: ActorHandle[OwnMeasurements]) -> None:
        self._actor = actor

    def due(self, key: str, size: int) -> int | list[Any]:
        """See `Measurements.due`."""
        return ray.get(self._actor.due.remote(key, size))

    def record(self, key: str, number: int, value: Any) -> None:
        """See `Measurements.record`."""
        ray.get(self._actor.record.remote(key, number, value))
