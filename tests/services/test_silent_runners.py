"""Whose lease has run out lost its job, unless it was suspended together with whoever looks."""

from collections.abc import Callable

import pytest

from services.lifecycle import JobState
from services.silent_runners import SilentRunners
from services.store import JobRecord, Store


@pytest.fixture
def silent_runners(store: Store, clock) -> SilentRunners:
    return SilentRunners(store, clock)


def test_a_runner_that_slept_with_its_machine_keeps_its_job(
    store: Store, running_search: Callable[..., JobRecord], silent_runners: SilentRunners, clock
) -> None:
    job = running_search("runner", lease_seconds=30)
    assert silent_runners.requeue() == []
    clock.advance(3600)
    assert silent_runners.requeue() == []
    clock.advance(1)
    store.heartbeat(job.id, "runner", 30)
    for _ in range(10):
        clock.advance(1)
        assert silent_runners.requeue() == []
    assert store.get_job(job.id).state is JobState.RUNNING


@pytest.mark.parametrize("seconds", [1, 10])
def test_a_dead_runner_loses_its_job_however_seldom_one_looks(
    store: Store,
    running_search: Callable[..., JobRecord],
    silent_runners: SilentRunners,
    clock,
    seconds: float,
) -> None:
    job = running_search("runner", lease_seconds=30)
    looks = []
    for _ in range(60):
        clock.advance(seconds)
        looks += silent_runners.requeue()
    assert [each.id for each in looks] == [job.id]


def test_a_clock_that_is_put_back_holds_nothing_up(
    store: Store, running_search: Callable[..., JobRecord], silent_runners: SilentRunners, clock
) -> None:
    job = running_search("runner", lease_seconds=0)
    silent_runners.requeue()
    assert store.claim(job.kind, "next", 0, job_id=job.id) is not None
    clock.advance(3600)
    assert silent_runners.requeue() == []
    clock.advance(-600)
    assert [each.id for each in silent_runners.requeue()] == [job.id]
