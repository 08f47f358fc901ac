"""Holding a job: a background thread renews its lease and notices when the holder has to let go."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Self, TypeVar

import structlog

from services.errors import ArtifactsUnavailableError, LeaseLostError, NotFoundError, StoreUnavailableError
from services.lifecycle import JobState
from services.shutdown import Shutdown
from services.store import JobRecord, JsonObject, Store

HEARTBEAT_SECONDS = 1.0
"""A pause or a cancellation is noticed within this time, however long the lease is."""

RETRY_SECONDS = 0.1
"""First pause before a transaction is tried again; it doubles up to LONGEST_RETRY_SECONDS."""

LONGEST_RETRY_SECONDS = 1.6

log = structlog.get_logger(__name__)
Answer = TypeVar("Answer")


class StopReason(StrEnum):
    """Why the holder of a job should stop working on it."""

    PAUSED = "paused"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease lost"
    SHUTDOWN = "shutdown"


class JobInterrupted(Exception):  # noqa: N818 - an outcome of a job, not of the program
    """Raised inside a job's computation to leave it once its lease has a stop reason."""


class Lease:
    """A claimed job's lease, renewed while the `with` block runs. Leaving the block only stops the renewing.

    Any state but `running` in the store means that the holder should stop. A store that cannot be reached
    is asked again until the lease has run out by our own clock: by then another process may hold the job.
    """

    def __init__(
        self, store: Store, job: JobRecord, owner: str, lease_seconds: float, shutdown: Shutdown
    ) -> None:
        self.job, self.owner = job, owner
        self.progress_done: int | None = None
        """Set by the holder as work advances; stored with the next heartbeat."""
        self.result_of_failure: JsonObject | None = None
        """Set by the holder: what is left of a job that fails."""
        self._progress_stored: int | None = None
        self._store, self._lease_seconds, self._shutdown = store, lease_seconds, shutdown
        self._expires_at = time.monotonic() + lease_seconds
        self._stop_reason: StopReason | None = None
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_left, name=f"lease-{job.id}", daemon=True)

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the holder should stop; None while it may go on."""
        return self._stop_reason or (StopReason.SHUTDOWN if self._shutdown.requested else None)

    def raise_if_stopped(self) -> None:
        """Raise JobInterrupted once the holder should stop."""
        if self.stop_reason is not None:
            raise JobInterrupted(self.stop_reason.value)

    def insist(self, transaction: Callable[[], Answer]) -> Answer:
        """Try a transaction until the database answers, or until the lease has run out by our own clock.

        What was computed should not be lost to a restart of the database. The transaction may have been
        carried out although its answer was lost, so it must be safe to repeat. Raises StoreUnavailableError,
        and ArtifactsUnavailableError at once.
        """
        pause = RETRY_SECONDS
        while True:
            try:
                return transaction()
            except ArtifactsUnavailableError:
                raise  # the job then waits where users see it, and for what
            except StoreUnavailableError as error:
                if self._stop_reason is StopReason.LEASE_LOST or time.monotonic() >= self._expires_at:
                    raise
                log.warning("waiting for the database", job=self.job.id, error=str(error))
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)

    def append_event(self, event_type: str, data: JsonObject) -> None:
        """Tell what happened to the job; raises LeaseLostError when this is a successor's to tell."""
        self.insist(lambda: self._store.append_event(self.job.id, event_type, data, owner=self.owner))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()
        if self.progress_done != self._progress_stored:
            self._renew()  # the last word on progress

    def _renew_until_left(self) -> None:
        interval = min(HEARTBEAT_SECONDS, self._lease_seconds / 3)
        while not self._left.wait(interval) and self._stop_reason is not StopReason.LEASE_LOST:
            self._renew()

    def _renew(self) -> None:
        asked_at, progress_done = time.monotonic(), self.progress_done
        try:
            state = self._store.heartbeat(
                self.job.id, self.owner, self._lease_seconds, progress_done=progress_done
            )
        except (LeaseLostError, NotFoundError) as error:
            log.warning("lease lost", job=self.job.id, reason=str(error))
            self._stop_reason = StopReason.LEASE_LOST
        except Exception as error:
            log.warning("heartbeat failed", job=self.job.id, error=str(error))
            if time.monotonic() >= self._expires_at:
                self._stop_reason = StopReason.LEASE_LOST
        else:
            self._expires_at, self._progress_stored = asked_at + self._lease_seconds, progress_done
            self._stop_reason = self._stop_reason or _stop_reason(state)


def _stop_reason(state: JobState) -> StopReason | None:
    if state is JobState.RUNNING:
        return None
    # Queued: paused and resumed while the holder was still finishing. It lets go, a new runner continues.
    return StopReason.PAUSED if state in {JobState.PAUSED, JobState.QUEUED} else StopReason.CANCELLED


def new_owner(process: str) -> str:
    """A lease owner's name that no other process has, here or elsewhere: `process@host:pid:nonce`."""
    return f"{owner_prefix(process, os.getpid())}{uuid.uuid4().hex[:8]}"


def owner_prefix(process: str, pid: int) -> str:
    """How the owner's names of a process of this machine begin."""
    return f"{process}@{socket.gethostname()}:{pid}:"
