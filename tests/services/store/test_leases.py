"""Claims, heartbeats and fencing. The clock is manual: nothing here sleeps."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from services.errors import ConflictError, LeaseLostError
from services.lifecycle import Action, CandidateState, JobKind, JobState
from services.store import JobRecord, Store

MakeJob = Callable[..., JobRecord]
METRICS = {"accuracy": 0.5, "loss": 1.0, "params": 1, "flops": 1, "seconds": 1.0}


def test_claim_takes_the_oldest_queued_job(store: Store, queued_search: MakeJob, clock):
    older = queued_search("older")
    clock.advance(1)
    newer = queued_search("newer")
    claimed = store.claim(JobKind.SEARCH, "runner", 30)
    assert claimed is not None
    assert (claimed.id, claimed.state, claimed.lease_owner) == (older.id, JobState.RUNNING, "runner")
    assert claimed.lease_expires_at == clock() + timedelta(seconds=30)
    assert (claimed.started_at, claimed.attempts) == (clock(), 1)
    assert store.get_job(older.id) == claimed
    assert store.claim(JobKind.SEARCH, "runner", 30).id == newer.id
    assert store.claim(JobKind.SEARCH, "runner", 30) is None


def test_claim_by_kind_and_by_id(store: Store, queued_search: MakeJob):
    first, second = queued_search(), queued_search()
    assert store.claim(JobKind.META_TRAINING, "runner", 30) is None
    assert store.claim(JobKind.META_TRAINING, "runner", 30, job_id=first.id) is None
    assert store.claim(JobKind.SEARCH, "runner", 30, job_id=second.id).id == second.id
    assert store.claim(JobKind.SEARCH, "other", 30, job_id=second.id) is None
    assert store.claim(JobKind.SEARCH, "other", 30, job_id="nosuchjob") is None


@pytest.mark.parametrize("actions", [[Action.PAUSE], [Action.CANCEL]])
def test_only_queued_jobs_can_be_claimed(store: Store, queued_search: MakeJob, actions: list[Action]):
    job = queued_search()
    for action in actions:
        store.act(job.id, action)
    assert store.claim(JobKind.SEARCH, "runner", 30, job_id=job.id) is None


def test_heartbeat_renews_and_tells_the_state(store: Store, running_search: MakeJob, clock):
    job = running_search()
    clock.advance(20)
    assert store.heartbeat(job.id, "runner", 30) is JobState.RUNNING
    assert store.get_job(job.id).lease_expires_at == clock() + timedelta(seconds=30)
    store.act(job.id, Action.PAUSE)
    assert store.heartbeat(job.id, "runner", 30) is JobState.PAUSED
    store.act(job.id, Action.CANCEL)
    assert store.heartbeat(job.id, "runner", 30) is JobState.CANCELLED


def test_heartbeat_reports_progress_once_and_never_back(store: Store, running_search: MakeJob):
    job = running_search(candidates=10)
    for done in (3, 3, 2, None, 5):
        store.heartbeat(job.id, "runner", 30, progress_done=done)
    assert store.get_job(job.id).progress_done == 5
    progress = [event.data for event in store.events_after(job.id) if event.type == "progress"]
    assert progress == [{"done": 3, "total": 10}, {"done": 5, "total": 10}]


def test_an_expired_lease_is_requeued_and_its_old_owner_fenced_off(
    store: Store, running_search: MakeJob, propose: Callable[..., None], clock
):
    job = running_search("slow", lease_seconds=30)
    propose(job.id, 0, owner="slow")
    clock.advance(29)
    assert store.requeue_expired() == []
    clock.advance(1)
    assert [(each.id, each.state) for each in store.requeue_expired()] == [(job.id, JobState.QUEUED)]
    assert store.claim(JobKind.SEARCH, "quick", 30).id == job.id

    before = store.get_job(job.id), store.events_after(job.id), store.in_flight(job.id)
    for write in (
        lambda: store.heartbeat(job.id, "slow", 30, progress_done=9),
        lambda: store.add_candidate("slow", job.id, 1, space="s", encoding="e", canonical_hash="h", seed=0),
        lambda: store.finish_candidate("slow", job.id, 0, metrics=METRICS),
        lambda: store.finish(job.id, "slow", result={}),
        lambda: store.release(job.id, "slow"),
    ):
        with pytest.raises(LeaseLostError, match=r"'slow' does not hold the lease .* it is held by 'quick'"):
            write()
    assert (store.get_job(job.id), store.events_after(job.id), store.in_flight(job.id)) == before


def test_a_lease_of_a_clock_that_was_years_ahead_has_run_out(store: Store, running_search: MakeJob, clock):
    clock.advance(3 * 365 * 86_400)
    job, paused = running_search(lease_seconds=30), running_search(lease_seconds=30)
    store.act(paused.id, Action.PAUSE)
    store.act(paused.id, Action.RESUME)
    clock.advance(-3 * 365 * 86_400)
    assert store.claim(JobKind.SEARCH, "quick", 30).id == paused.id
    assert [each.id for each in store.requeue_expired()] == [job.id]
    assert store.claim(JobKind.SEARCH, "quick", 30).id == job.id


def test_a_lease_that_ran_out_but_was_not_taken_is_still_held(store: Store, running_search: MakeJob, clock):
    job = running_search(lease_seconds=30)
    clock.advance(3600)
    assert store.heartbeat(job.id, "runner", 30) is JobState.RUNNING
    assert store.requeue_expired() == []


def test_finish_succeeds_or_fails_and_drops_the_lease(store: Store, running_search: MakeJob, clock):
    good, bad = running_search("a"), running_search("b")
    clock.advance(7)
    done = store.finish(good.id, "a", result={"best": 3})
    assert (done.state, done.result, done.error) == (JobState.SUCCEEDED, {"best": 3}, None)
    assert (done.lease_owner, done.lease_expires_at, done.finished_at) == (None, None, clock())
    failed = store.finish(bad.id, "b", error={"title": "the data set is gone"})
    assert (failed.state, failed.error) == (JobState.FAILED, {"title": "the data set is gone"})
    assert store.events_after(bad.id)[-1].data == {
        "state": "failed",
        "action": "fail",
        "error": {"title": "the data set is gone"},
    }
    with pytest.raises(LeaseLostError, match="nobody holds it"):
        store.finish(good.id, "a", result={})


@pytest.mark.parametrize(("action", "state"), [(Action.CANCEL, "cancelled"), (Action.PAUSE, "paused")])
def test_finish_keeps_what_a_user_decided_meanwhile(
    store: Store, running_search: MakeJob, action: Action, state: str
):
    job = running_search()
    store.act(job.id, action)
    ended = store.finish(job.id, "runner", result={"best": 3})
    assert (ended.state, ended.result, ended.lease_owner) == (state, None, None)


def test_release_queues_a_running_job_and_is_no_failed_attempt(
    store: Store, running_search: MakeJob, propose: Callable[..., None], clock
):
    job = running_search()
    propose(job.id, 0)
    released = store.release(job.id, "runner")
    assert (released.state, released.lease_owner, released.attempts) == (JobState.QUEUED, None, 0)
    assert [candidate.number for candidate in store.in_flight(job.id)] == [0]
    clock.advance(5)
    again = store.claim(JobKind.SEARCH, "next", 30)
    assert (again.id, again.attempts, again.started_at) == (job.id, 1, job.started_at)


def test_release_of_a_paused_job_leaves_it_paused(store: Store, running_search: MakeJob):
    job = running_search()
    store.act(job.id, Action.PAUSE)
    assert store.release(job.id, "runner").state is JobState.PAUSED


def test_a_resumed_job_waits_until_its_former_runner_lets_go(store: Store, running_search: MakeJob, clock):
    job = running_search("old", lease_seconds=30)
    store.act(job.id, Action.PAUSE)
    store.act(job.id, Action.RESUME)
    assert store.claim(JobKind.SEARCH, "new", 30) is None
    assert store.heartbeat(job.id, "old", 30) is JobState.QUEUED
    store.release(job.id, "old")
    assert store.claim(JobKind.SEARCH, "new", 30).id == job.id


def test_a_resumed_job_whose_former_runner_died_can_be_claimed_after_its_lease(
    store: Store, running_search: MakeJob, clock
):
    job = running_search("dead", lease_seconds=30)
    store.act(job.id, Action.PAUSE)
    store.act(job.id, Action.RESUME)
    clock.advance(30)
    assert store.claim(JobKind.SEARCH, "new", 30).id == job.id


@pytest.mark.parametrize("progress", ["a candidate", "a heartbeat that tells of more"])
def test_attempts_count_deaths_since_the_last_progress(
    store: Store, queued_search: MakeJob, succeed: Callable[..., None], clock, progress: str
):
    job = queued_search()
    for attempt in (1, 2, 3):
        assert store.claim(JobKind.SEARCH, f"runner {attempt}", 30).attempts == attempt
        clock.advance(31)
        store.requeue_expired()
    store.claim(JobKind.SEARCH, "runner 4", 30)
    store.heartbeat(job.id, "runner 4", 30, progress_done=0)
    assert store.get_job(job.id).attempts == 4
    if progress == "a candidate":
        succeed(job.id, 0, owner="runner 4")
    else:
        store.heartbeat(job.id, "runner 4", 30, progress_done=1)
    assert store.get_job(job.id).attempts == 1


@pytest.mark.parametrize("ending", ["cancel while queued", "cancel while running", "fail", "runner died"])
def test_an_ended_search_has_no_candidate_in_flight(
    store: Store, running_search: MakeJob, propose: Callable[..., None], clock, ending: str
):
    job = running_search()
    propose(job.id, 0)
    if ending == "cancel while queued":
        store.release(job.id, "runner")
        store.act(job.id, Action.CANCEL)
    elif ending == "cancel while running":
        store.act(job.id, Action.CANCEL)
        assert store.in_flight(job.id) == [], "although its runner has not let go yet"
        propose(job.id, 1)
        assert store.in_flight(job.id) == [], "it learns of the end at its next heartbeat"
        late = store.finish_candidate("runner", job.id, 0, error={"title": "late"})
        assert late.state is CandidateState.CANCELLED
        store.release(job.id, "runner")
    elif ending == "fail":
        store.finish(job.id, "runner", error={"title": "no"})
    else:
        store.act(job.id, Action.CANCEL)
        clock.advance(31)
        assert store.requeue_expired() == [], "cancelled, not to be run again"
    assert store.in_flight(job.id) == []
    assert store.get_candidate(f"{job.id}-0").state is CandidateState.CANCELLED


def test_deleting_a_cancelled_job_fences_its_runner_off(store: Store, running_search: MakeJob):
    job = running_search()
    store.act(job.id, Action.CANCEL)
    store.delete_job(job.id)
    with pytest.raises(LeaseLostError):
        store.heartbeat(job.id, "runner", 30)


def test_a_running_job_cannot_be_claimed_again_by_action(store: Store, running_search: MakeJob):
    with pytest.raises(ConflictError, match="a runner has it"):
        store.act(running_search().id, Action.CLAIM)
