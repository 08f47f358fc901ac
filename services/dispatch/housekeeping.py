"""What grows for ever unless somebody tidies up: deleted jobs, unnamed artifacts, events, answers, logs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog
from fsspec.implementations.local import LocalFileSystem

from services.artifacts import ArtifactStore
from services.errors import ConflictError
from services.ownership import require_ownership
from services.settings import Settings
from services.store import Clock, Store, utc_now

GRACE_SECONDS = 24 * 3600.0
"""An artifact younger than this may be about to be named: it is left alone."""

ANSWERS_KEPT = timedelta(days=30)
"""To POSTs with an `Idempotency-Key`: much longer than anyone tries again."""

PERIOD_SECONDS = 3600.0
PAUSE_SECONDS = 60.0
"""After a failure, as of an artifact store that is away."""

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
    """Remove the artifacts that nothing names, and halves of any, that are older than the grace period.

    The age is looked at first and the names afterwards, so that one that was named meanwhile stays; and
    whoever stores the content of an old artifact again makes it young (see `ArtifactStore.put`), which is
    looked at once more before it goes: its new name may come only after the names were read.
    Raises ConflictError when the artifacts are another database's.
    """
    artifacts.require_owner(store.database_id(), claim=not dry_run)
    youngest = clock() - timedelta(seconds=grace_seconds)
    old = [each for each in artifacts.stored() if each.modified_at < youngest]
    in_use = store.artifacts_in_use() if old else set()
    garbage = [each for each in old if not each.whole or each.id not in in_use]
    if not dry_run:
        for each in garbage:
            artifacts.remove(each)
    return Collected(len(garbage), sum(each.size_bytes for each in garbage))


def collect_logs(store: Store, settings: Settings, *, clock: Clock = utc_now) -> int:
    """Remove the logs of searches that have been deleted, as old as artifacts must be; answers how many.

    Those that controllers of this machine wrote: Ray keeps the logs of what ran as a Ray Job.
    Raises ConflictError when the data folder is another database's.
    """
    if not settings.log_dir.exists():
        return 0
    require_ownership(LocalFileSystem(), str(settings.data_dir), store.database_id())
    youngest = (clock() - timedelta(seconds=GRACE_SECONDS)).timestamp()
    old: dict[str, Path] = {}
    for path in settings.log_dir.glob("search-*.log"):
        with suppress(FileNotFoundError):  # another controller tidies up as well
            if path.stat().st_mtime < youngest:
                old[path.stem.removeprefix("search-")] = path
    unknown = store.unknown_jobs(list(old))
    for search_id in unknown:
        old[search_id].unlink(missing_ok=True)
    return len(unknown)


class Housekeeping:
    """One turn is a bounded piece of work; every hour there is a new round of turns."""

    def __init__(
        self, store: Store, artifacts: ArtifactStore, settings: Settings, clock: Clock = utc_now
    ) -> None:
        self._store, self._artifacts, self._clock = store, artifacts, clock
        self._settings = settings
        self._next_round = 0.0  # of the monotonic clock

    def turn(self) -> None:
        """Remove what deleted jobs have left, at any time; forget a batch; once there is none left, collect
        logs and artifacts, and the round is over.
        """
        if self._store.remove_leftovers() or time.monotonic() < self._next_round or self.forget():
            return
        self._next_round = time.monotonic() + PAUSE_SECONDS  # if anything fails
        with _left_to_its_owner("logs"):
            if logs := collect_logs(self._store, self._settings, clock=self._clock):
                log.info("logs of deleted searches collected", logs=logs)
        with _left_to_its_owner("artifacts"):
            removed = collect_artifacts(self._store, self._artifacts, clock=self._clock)
            if removed.artifacts:
                log.info("artifacts collected", artifacts=removed.artifacts, size_bytes=removed.size_bytes)
        self._next_round = time.monotonic() + PERIOD_SECONDS

    def forget(self) -> int:
        """Drop old answers, and what the retention settings name, a batch of each; answers how many rows."""
        touched = self._store.drop_answers(self._clock() - ANSWERS_KEPT, BATCH)
        for days, drop in (
            (self._settings.event_retention_days, self._store.drop_events),
            (self._settings.failed_candidate_retention_days, self._store.drop_failure_details),
        ):
            if days:
                touched += drop(self._clock() - timedelta(days=days), BATCH)
        return touched


@contextmanager
def _left_to_its_owner(what: str) -> Iterator[None]:
    try:
        yield
    except ConflictError as error:
        log.warning(f"{what} not collected", reason=str(error))
