"""Machines that share a PostgreSQL agree on the time although their clocks do not."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo

import pytest

from services.lifecycle import JobKind
from services.store import JobRecord, Store, open_store

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
LEASE_SECONDS = 30.0


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as store:
        yield store


@contextmanager
def clock_ahead(seconds: float) -> Iterator[None]:
    """This process is on a machine whose clock is ahead by so much, or behind."""

    class Elsewhere(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(seconds=seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.store.engine.datetime", Elsewhere)
        yield


@pytest.mark.parametrize("runner_ahead", [-120, 0])
def test_a_runner_that_lives_keeps_its_job(store: Store, runner_ahead: float) -> None:
    job = _queued(store)
    with clock_ahead(runner_ahead):
        assert store.claim(job.kind, "runner", LEASE_SECONDS) is not None
        store.heartbeat(job.id, "runner", LEASE_SECONDS)
    with clock_ahead(runner_ahead + 120):
        assert store.requeue_expired() == []


def test_a_runner_that_died_does_not_keep_its_job(store: Store) -> None:
    job = _queued(store)
    with clock_ahead(600):
        assert store.claim(job.kind, "runner", 0) is not None
    assert [each.id for each in store.requeue_expired()] == [job.id]
    assert store.claim(job.kind, "other", LEASE_SECONDS) is not None


def test_times_are_utc_whatever_the_zone_of_the_role(database_url: str) -> None:
    with open_store(f"{database_url}&options=-ctimezone%3DAsia/Kolkata") as store:
        job = _queued(store)
        assert job.created_at.utcoffset() == timedelta(0)
        assert store.get_job(job.id) == job


def _queued(store: Store) -> JobRecord:
    return store.create_job(JobKind.META_TRAINING, name="", request={}, progress_total=1)
