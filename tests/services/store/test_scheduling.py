"""Whose turn it is: priority, then the key with the fewest running jobs, then age."""

from collections.abc import Callable

import pytest

from services.lifecycle import Action, JobKind, JobState
from services.store import JobRecord, Store, downgrade, upgrade

Queue = Callable[..., str]


@pytest.fixture
def queue(store: Store, clock) -> Queue:
    """Queues a search, each a second after the one before; answers its name."""

    def add(name: str, *, key: str | None = None, priority: int = 0) -> str:
        clock.advance(1)
        store.create_job(
            JobKind.SEARCH, name=name, request={}, progress_total=1, priority=priority, owner_key_id=key
        )
        return name

    return add


def claims(store: Store) -> list[str]:
    """The names of all queued searches in the order in which they are claimed; none ends."""
    order = []
    while job := store.claim(JobKind.SEARCH, f"runner {len(order)}", 30):
        order.append(job.name)
    return order


def test_higher_priority_first_then_the_oldest(store: Store, queue: Queue):
    for name, priority in (("low", -1), ("first", 0), ("second", 0), ("urgent", 5)):
        queue(name, priority=priority)
    assert claims(store) == ["urgent", "first", "second", "low"]


def test_who_waits_is_given_another_turn(store: Store, queue: Queue):
    for name in ("first", "second", "third"):
        queue(name)
    jobs = {job.name: job.id for job in store.list_jobs(JobKind.SEARCH)}
    store.edit_job(jobs["third"], priority=5)
    store.edit_job(jobs["first"], priority=-5)
    assert claims(store) == ["third", "second", "first"]


def test_a_key_with_many_jobs_does_not_shut_out_the_others(store: Store, queue: Queue):
    for name, key in (("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("none", None), ("b2", "b")):
        queue(name, key=key)
    # After a1, key a has one running job and the others none; then all have one, and age decides.
    assert claims(store) == ["a1", "b1", "none", "a2", "b2", "a3"]


def test_priority_goes_before_fairness(store: Store, queue: Queue):
    queue("running", key="a", priority=1)
    queue("other", key="b")
    queue("again", key="a", priority=1)
    assert claims(store) == ["running", "again", "other"]


def test_callers_without_a_key_share_as_one(store: Store, queue: Queue):
    for name, key in (("open 1", None), ("open 2", None), ("key", "k")):
        queue(name, key=key)
    assert claims(store) == ["open 1", "key", "open 2"]


def test_jobs_of_another_kind_do_not_count(store: Store, queue: Queue):
    store.create_job(JobKind.META_TRAINING, name="", request={}, progress_total=1, owner_key_id="a")
    assert store.claim(JobKind.META_TRAINING, "worker", 30) is not None
    queue("a", key="a")
    queue("b", key="b")
    assert claims(store) == ["a", "b"]


def test_next_queued_counts_what_is_starting_and_changes_nothing(store: Store, queue: Queue):
    for name, key in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        queue(name, key=key)
    starting: list[JobRecord] = []
    while job := store.next_queued([JobKind.SEARCH], [each.id for each in starting]):
        starting.append(job)
    assert [job.name for job in starting] == ["a1", "b1", "a2"]
    assert store.count_jobs() == {(JobKind.SEARCH, JobState.QUEUED): 3}


def test_what_is_starting_and_runs_already_counts_once(store: Store, queue: Queue):
    for name, key in (("a1", "a"), ("b1", "b"), ("b2", "b"), ("a2", "a"), ("b3", "b")):
        queue(name, key=key)
    jobs = {job.name: job.id for job in store.list_jobs(JobKind.SEARCH)}
    for name in ("a1", "b1"):
        store.claim(JobKind.SEARCH, name, 30, job_id=jobs[name])
    for starting, next_one in ((["a1"], "b2"), (["a1", "b2"], "a2"), (["a1", "a2", "b2"], "b3")):
        job = store.next_queued([JobKind.SEARCH], [jobs[name] for name in starting])
        assert job is not None
        assert job.name == next_one


def test_jobs_of_several_kinds_wait_in_one_line(store: Store, clock):
    for kind, priority in (
        (JobKind.META_TRAINING, 0),
        (JobKind.FINAL_TRAINING, 0),
        (JobKind.META_TRAINING, 0),
        (JobKind.FIDELITY_REPORT, 1),
        (JobKind.SEARCH, 2),
    ):
        clock.advance(1)
        store.create_job(kind, name="", request={}, progress_total=1, priority=priority)
    order: list[JobRecord] = []
    trainings = [JobKind.FINAL_TRAINING, JobKind.META_TRAINING, JobKind.FIDELITY_REPORT]
    while job := store.next_queued(trainings, [each.id for each in order]):
        order.append(job)
    assert [job.kind for job in order] == [
        JobKind.FIDELITY_REPORT,
        JobKind.META_TRAINING,
        JobKind.FINAL_TRAINING,
        JobKind.META_TRAINING,
    ]


def test_a_dead_runners_job_is_taken_back_at_once(store: Store, running_search: Callable[..., JobRecord]):
    job = running_search("search-runner@host:7:abc")
    assert not store.requeue_dead("search-runner@host:71:", job.id)
    assert store.get_job(job.id).state is JobState.RUNNING
    assert store.requeue_dead("search-runner@host:7:", job.id)
    taken = store.get_job(job.id)
    assert (taken.state, taken.lease_owner, taken.attempts) == (JobState.QUEUED, None, 1)
    assert not store.requeue_dead("search-runner@host:7:", job.id)
    assert not store.requeue_dead("search-runner", "gone")


def test_all_that_a_dead_worker_held_is_taken_back_at_once(
    store: Store, running_search: Callable[..., JobRecord]
) -> None:
    mine, others = running_search("meta_worker@host:7:abc"), running_search("metaXworker@host:7:abc")
    running_search("meta_worker@host:71:abc")
    assert [job.id for job in store.requeue_dead("meta_worker@host:7:")] == [mine.id]
    assert store.get_job(mine.id).state is JobState.QUEUED
    assert store.get_job(others.id).state is JobState.RUNNING
    assert store.requeue_dead("meta_worker@host:7:") == []


def test_what_a_job_waits_for_is_told_once_and_forgotten_when_it_moves_on(
    store: Store, running_search: Callable[..., JobRecord]
):
    job = running_search("runner")
    for reason in ("a GPU", "a GPU", None, "a GPU"):
        store.set_waiting(job.id, "runner", reason)
    assert store.get_job(job.id).waiting_for == "a GPU"
    told = [event.data["waiting_for"] for event in store.events_after(job.id) if event.type == "waiting"]
    assert told == ["a GPU", None, "a GPU"]
    assert store.count_waiting_jobs() == {JobKind.SEARCH: 1}
    store.release(job.id, "runner")
    assert store.count_waiting_jobs() == {}
    assert store.get_job(job.id).waiting_for is None


@pytest.mark.parametrize("action", [Action.PAUSE, Action.CANCEL])
def test_a_job_that_is_to_stop_waits_for_nothing_although_its_runner_has_not_heard_of_it(
    store: Store, running_search: Callable[..., JobRecord], action: Action
):
    job = running_search("runner")
    store.act(job.id, action)
    store.set_waiting(job.id, "runner", "a GPU")
    store.excuse(job.id, "runner", "Ray is away")
    store.release(job.id, "runner")
    store.set_waiting(job.id, None, "a runner")
    assert store.get_job(job.id).waiting_for is None
    assert store.events_after(job.id)[-1].data["action"] == action


def test_jobs_of_the_first_schema_come_through_with_their_candidates(
    store: Store, database_url: str, running_search: Callable[..., JobRecord], succeed: Callable[..., None]
):
    job = running_search("runner")
    succeed(job.id, 0)
    store.close()
    downgrade(database_url, "0001")
    upgrade(database_url)
    after = store.get_job(job.id)
    assert (after.state, after.progress_done) == (JobState.RUNNING, 1)
    assert (after.priority, after.owner_key_id, after.waiting_for) == (0, None, None)
    assert [candidate.number for candidate in store.history(job.id)] == [0]
