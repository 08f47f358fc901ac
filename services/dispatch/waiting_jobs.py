"""What keeps runners from queued jobs, told where users look; a job's claim ends it."""

import time
from collections.abc import Collection
from contextlib import suppress

from services.errors import LeaseLostError
from services.store import Store

ROOM_SECONDS = 10.0
"""How long a cluster may take to begin a runner before its job is said to wait for room."""


class WaitingJobs:
    """Writes why jobs wait into the store, which takes each reason once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._without_room: dict[str, float] = {}  # jobs whose runner no node has begun, and since when
        self._unreached: set[str] = set()  # jobs that were told to wait for the cluster

    def tell(self, job_id: str, waiting_for: str | None) -> None:
        """Say what the job waits for, or that it is not this any more."""
        with suppress(LeaseLostError):  # someone has it after all, or it was deleted
            self._store.set_waiting(job_id, None, waiting_for)

    def for_cluster(self, job_id: str, away: Exception | None) -> None:
        """The cluster did not take the job's runner, for this reason; or it did."""
        if away is not None:
            self.tell(job_id, f"the cluster: {away}")
            self._unreached.add(job_id)
        elif job_id in self._unreached:
            self.tell(job_id, None)
            self._unreached.remove(job_id)

    def for_room(self, job_ids: Collection[str]) -> None:
        """The cluster has these jobs' runners, and none of its nodes has begun them yet."""
        now = time.monotonic()
        self._without_room = {job_id: self._without_room.get(job_id, now) for job_id in job_ids}
        for job_id, since in self._without_room.items():
            if now - since > ROOM_SECONDS:
                self.tell(job_id, "room on the cluster: no node has begun its runner")

    def forget(self, job_id: str) -> None:
        """The job has ended, or is gone."""
        self._unreached.discard(job_id)
