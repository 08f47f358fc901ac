"""A lease is renewed while it is held, and says why its holder should stop."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import pytest

from services.errors import ArtifactsUnavailableError
from services.lease import JobInterrupted, Lease, StopReason, new_owner
from services.lifecycle import Action, JobKind, JobState
from services.shutdown import Shutdown
from services.store import JobRecord, Store

LEASE_SECONDS = 0.6
OWNER = "runner"


@pytest.fixture
def job(store: Store, queue_search: Callable[..., JobRecord]) -> JobRecord:
    job = store.claim(JobKind.SEARCH, OWNER, LEASE_SECONDS, job_id=queue_search().id)
    assert job is not None
    return job


@pytest.fixture
def lease(store: Store, job: JobRecord) -> Lease:
    return Lease(store, job, OWNER, LEASE_SECONDS, Shutdown())


def test_a_held_lease_outlives_its_first_term(store: Store, job: JobRecord, lease: Lease) -> None:
    with lease:
        time.sleep(2 * LEASE_SECONDS)
        assert store.requeue_expired() == []
        lease.raise_if_stopped()
    assert lease.stop_reason is None
    time.sleep(LEASE_SECONDS)
    assert [requeued.id for requeued in store.requeue_expired()] == [job.id]


def test_progress_is_stored_with_the_heartbeat(
    store: Store, job: JobRecord, lease: Lease, wait_until: Callable[..., None]
) -> None:
    with lease:
        lease.progress_done = 4
        wait_until(lambda: store.get_job(job.id).progress_done == 4)


@pytest.mark.parametrize(
    ("actions", "reason"),
    [
        ([Action.PAUSE], StopReason.PAUSED),
        ([Action.PAUSE, Action.RESUME], StopReason.PAUSED),
        ([Action.CANCEL], StopReason.CANCELLED),
    ],
)
def test_what_users_do_reaches_the_holder(
    store: Store,
    job: JobRecord,
    lease: Lease,
    wait_until: Callable[..., None],
    actions: list[Action],
    reason: StopReason,
) -> None:
    for action in actions:
        store.act(job.id, action)
    with lease:
        wait_until(lambda: lease.stop_reason is not None)
        assert lease.stop_reason is reason
        with pytest.raises(JobInterrupted, match=reason):
            lease.raise_if_stopped()
        # While it winds up, the job is still its own.
        assert store.get_job(job.id).lease_owner == OWNER


def test_a_lease_that_another_took_is_lost(
    store: Store, job: JobRecord, lease: Lease, wait_until: Callable[..., None]
) -> None:
    time.sleep(LEASE_SECONDS + 0.1)  # the holder was asleep, too
    store.requeue_expired()
    assert store.claim(JobKind.SEARCH, "another", 30, job_id=job.id) is not None
    with lease:
        wait_until(lambda: lease.stop_reason is StopReason.LEASE_LOST)
    assert store.get_job(job.id).lease_owner == "another"


def test_a_database_that_is_away_for_a_moment_costs_nothing_and_one_that_stays_away_the_lease(
    store: Store,
    job: JobRecord,
    database_away: Callable[[], AbstractContextManager[None]],
    wait_until: Callable[..., None],
) -> None:
    with Lease(store, job, OWNER, 6, Shutdown()) as lease:
        with database_away():
            time.sleep(1.5)  # at least one heartbeat fails
            assert lease.stop_reason is None
        wait_until(lambda: _expires_in(store, job) > timedelta(seconds=4))
    with Lease(store, job, OWNER, LEASE_SECONDS, Shutdown()) as lease, database_away():
        wait_until(lambda: lease.stop_reason is StopReason.LEASE_LOST)


def test_artifacts_that_are_away_are_not_waited_for_under_the_lease(lease: Lease) -> None:
    """The job is let go instead, and tells what it waits for."""
    asked = []

    def store_them() -> None:
        asked.append(1)
        raise ArtifactsUnavailableError("away")

    with lease, pytest.raises(ArtifactsUnavailableError):
        lease.insist(store_them)
    assert asked == [1]


def test_a_shutdown_stops_the_holder_at_once(store: Store, job: JobRecord) -> None:
    shutdown = Shutdown()
    lease = Lease(store, job, OWNER, LEASE_SECONDS, shutdown)
    assert lease.stop_reason is None
    shutdown.requested = True
    assert lease.stop_reason is StopReason.SHUTDOWN
    assert store.get_job(job.id).state is JobState.RUNNING


def test_owners_are_told_apart() -> None:
    owners = {new_owner("search-runner") for _ in range(100)}
    assert len(owners) == 100
    assert all(owner.startswith("search-runner@") for owner in owners)


def _expires_in(store: Store, job: JobRecord) -> timedelta:
    expires_at = store.get_job(job.id).lease_expires_at
    assert expires_at is not None
    return expires_at - datetime.now(UTC)
