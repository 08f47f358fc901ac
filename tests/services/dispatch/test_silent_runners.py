"""Whose lease has run out lost its job, unless it was suspended together with whoever looks."""

from collections.abc import Callable
from typing import Any

import pytest

from services.dispatch.silent_runners import SilentRunners
from services.lifecycle import JobState
from services.store import JobRecord, Store


class Machine:
    """Its clock, which goes on while it sleeps, and how long it has been awake."""

    def __init__(self, clock: Any) -> None:
        self.clock, self.seconds_awake = clock, 0.0

    def work(self, seconds: float) -> None:
        self.seconds_awake += seconds
        self.clock.advance(seconds)

    def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)


@pytest.fixture
def machine(clock) -> Machine:
    return Machine(clock)


@pytest.fixture
def silent_runners(store: Store, machine: Machine) -> SilentRunners:
    return SilentRunners(store, machine.clock, lambda: machine.seconds_awake)


@pytest.mark.parametrize("naps", [1, 3])
def test_a_runner_that_slept_with_its_machine_keeps_its_job(
    store: Store,
    running_search: Callable[..., JobRecord],
    silent_runners: SilentRunners,
    machine: Machine,
    naps: int,
) -> None:
    job = running_search("runner", lease_seconds=30)
    assert silent_runners.requeue() == []
    for _ in range(naps):
        machine.sleep(3600)
        assert silent_runners.requeue() == []
        machine.work(1)
        store.heartbeat(job.id, "runner", 30)
    for _ in range(10):
        machine.work(1)
        assert silent_runners.requeue() == []
    assert store.get_job(job.id).state is JobState.RUNNING


def test_a_runner_that_stood_still_before_the_same_database_keeps_its_job(
    store: Store,
    running_search: Callable[..., JobRecord],
    silent_runners: SilentRunners,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = running_search("runner", lease_seconds=30)
    assert silent_runners.requeue() == []

    def answer_late(*_arguments: object) -> Any:
        machine.work(60)
        return machine.clock()

    with monkeypatch.context() as patch:
        patch.setattr("services.store.leases.monotonic", lambda: machine.seconds_awake)
        patch.setattr("services.store.engine.Database.now", answer_late)
        assert silent_runners.requeue() == []
    machine.work(1)
    assert silent_runners.requeue() == []
    store.heartbeat(job.id, "runner", 30)
    for _ in range(10):
        machine.work(1)
        assert silent_runners.requeue() == []
    assert store.get_job(job.id).state is JobState.RUNNING


@pytest.mark.parametrize("seconds", [1, 10])
def test_a_dead_runner_loses_its_job_however_seldom_one_looks(
    store: Store,
    running_search: Callable[..., JobRecord],
    silent_runners: SilentRunners,
    machine: Machine,
    seconds: float,
) -> None:
    job = running_search("runner", lease_seconds=30)
    looks = []
    for _ in range(60):
        machine.work(seconds)
        looks += silent_runners.requeue()
    assert [each.id for each in looks] == [job.id]


def test_a_clock_that_is_put_back_holds_nothing_up(
    store: Store,
    running_search: Callable[..., JobRecord],
    silent_runners: SilentRunners,
    machine: Machine,
) -> None:
    job = running_search("runner", lease_seconds=0)
    silent_runners.requeue()
    assert store.claim(job.kind, "next", 0, job_id=job.id) is not None
    machine.clock.advance(3600)
    assert silent_runners.requeue() == []
    machine.clock.advance(-600)
    machine.work(5)
    assert [each.id for each in silent_runners.requeue()] == [job.id]
