"""Jobs of runners that fell silent are taken back, unless they slept while whoever looks slept as well.

Or stood still with them, before a database that did.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from services.store import Clock, JobRecord, Store, utc_now

LONGEST_GAP = timedelta(seconds=5)
"""Between two looks. After more this machine was suspended, or its clock put forward, or it is very busy."""

LONGEST_ANSWER_SECONDS = 5.0
"""What a database that takes longer to begin has kept runners waiting for as well."""

RENEWAL_SECONDS = 5.0
"""Time that runners then get, awake: many times what lies between two heartbeats."""


class SilentRunners:
    """Looks for leases that have run out, every second or so.

    On a laptop that was closed for an hour all leases have run out, and their runners are well.
    """

    def __init__(
        self, store: Store, clock: Clock = utc_now, seconds_awake: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._clock, self._seconds_awake = store, clock, seconds_awake
        self._looked_at: datetime | None = None
        self._waits_since: float | None = None

    def requeue(self) -> list[JobRecord]:
        """Take back what nobody holds; answers the jobs that were running, and are queued now."""
        now, awake = self._clock(), self._seconds_awake()
        if self._waits_since is None and self._looked_at and now - self._looked_at > LONGEST_GAP:
            self._waits_since = awake
        # Not by the clock: a machine may fall asleep again at once, as it does on its way into hibernation.
        if self._waits_since is not None and awake - self._waits_since < RENEWAL_SECONDS:
            return []
        requeued = self._store.requeue_expired(LONGEST_ANSWER_SECONDS)
        self._looked_at, self._waits_since = now, None
        return requeued
