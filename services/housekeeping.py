"""What grows for ever unless somebody tidies up: artifacts that nothing names, old events, old failures."""

import time
from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.artifacts import ArtifactStore
from services.settings import Settings
from services.store import Clock, Store, utc_now

GRACE_SECONDS = 24 * 3600.0
"""An artifact younger than this may be about to be named: it is left alone."""

PERIOD_SECONDS = 3600.0
BATCH = 2000
"""Rows forgotten in one transaction, and at each turn of the controller's loop."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Collected:
    """What a collection removed, or would."""

    artifacts: int
    size_bytes: int


def collect_artifacts(
    store: Store,
    artifacts: ArtifactStore,
    *,
    grace_seconds: float = GRACE_SECONDS,
    dry_run: bool = False,
    clock: Clock = utc_now,
) -> Collected:
    """Remove the artifacts that nothing names and that are older than the grace period.

    The age is looked at first and the names afterwards, so that one that was named meanwhile stays; and
    whoever stores the content of an old artifact again makes it young (see `ArtifactStore.put`).
    """
    youngest = clock() - timedelta(seconds=grace_seconds)
    old = [each for each in artifacts.stored() if each.modified_at < youngest]
    in_use = store.artifacts_in_use() if old else set()
    garbage = [each for each in old if each.id not in in_use]
    if not dry_run:
        for each in garbage:
            artifacts.remove(each)
    return Collected(len(garbage), sum(each.size_bytes for each in garbage))


class Housekeeping:
    """One turn is a bounded piece of work; every hour there is a new round of turns."""

    def __init__(
        self, store: Store, artifacts: ArtifactStore, settings: Settings, clock: Clock = utc_now
    ) -> None:
        self._store, self._artifacts, self._clock = store, artifacts, clock
        self._settings = settings
        self._next_round = 0.0  # of the monotonic clock

    def turn(self) -> None:
        """Forget a batch; the round is over when there was none left, and then artifacts are collected."""
        if time.monotonic() < self._next_round or self.forget():
            return
        self._next_round = time.monotonic() + PERIOD_SECONDS
        removed = collect_artifacts(self._store, self._artifacts, clock=self._clock)
        if removed.artifacts:
            log.info("artifacts collected", artifacts=removed.artifacts, size_bytes=removed.size_bytes)

    def forget(self) -> int:
        """Apply the retention settings to one batch each; answers how many rows were touched."""
        touched = 0
        for days, drop in (
            (self._settings.event_retention_days, self._store.drop_events),
            (self._settings.failed_candidate_retention_days, self._store.drop_failure_details),
        ):
            if days:
                touched += drop(self._clock() - timedelta(days=days), BATCH)
        return touched
