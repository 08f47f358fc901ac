"""More to do for a search: in every state, once per idempotency key, with what was cut off taken up again."""

from collections.abc import Callable
from typing import Any

import pytest

from services.errors import IdempotencyConflictError, IllegalTransitionError, NotFoundError
from services.lifecycle import Action, CandidateState, JobKind, JobState
from services.store import IdempotencyKey, JobRecord, JsonObject, Store

MakeJob = Callable[..., JobRecord]


@pytest.fixture
def search(store: Store) -> JobRecord:
    request = {"max_candidates": 10, "max_seconds": None}
    return store.create_job(JobKind.SEARCH, name="", request=request, progress_total=10)


def five_more(job: JobRecord) -> JsonObject:
    return {**job.request, "max_candidates": job.request["max_candidates"] + 5}


def end(store: Store, search: JobRecord, **ending: Any) -> None:
    assert store.claim(JobKind.SEARCH, "runner", 30, job_id=search.id)
    store.finish(search.id, "runner", **ending)


def test_a_succeeded_search_is_queued_again_as_if_it_had_not_ended(
    store: Store, search: JobRecord, propose: Callable[..., None], succeed: Callable[..., None]
):
    assert store.claim(JobKind.SEARCH, "runner", 30, job_id=search.id)
    succeed(search.id, 0)
    propose(search.id, 1)
    store.finish(search.id, "runner", result={"timed_out": True})
    assert store.get_candidate(f"{search.id}-1").state is CandidateState.CANCELLED
    extended = store.extend(search.id, five_more)
    assert (extended.state, extended.progress_done, extended.progress_total) == (JobState.QUEUED, 1, 15)
    assert (extended.result, extended.error, extended.finished_at, extended.attempts) == (None, None, None, 0)
    assert [candidate.number for candidate in store.in_flight(search.id)] == [1]
    assert [candidate.number for candidate in store.history(search.id)] == [0]
    events = [(event.type, event.data) for event in store.events_after(search.id)]
    limits = {"max_candidates": 15, "max_seconds": None, "max_seconds_before": None}
    assert ("extended", limits) in events
    assert ("state", {"state": "queued", "action": "extend"}) in events
    assert store.claim(JobKind.SEARCH, "runner", 30).id == search.id


def test_a_failed_search_is_given_another_try(store: Store, search: JobRecord):
    end(store, search, error={"title": "no GPU"})
    assert store.extend(search.id, five_more).state is JobState.QUEUED
    assert store.get_job(search.id).error is None


def test_a_search_that_has_not_ended_stays_what_it_is(store: Store, search: JobRecord):
    assert store.extend(search.id, five_more).state is JobState.QUEUED
    assert store.claim(JobKind.SEARCH, "runner", 30, job_id=search.id)
    assert store.extend(search.id, five_more).state is JobState.RUNNING
    store.act(search.id, Action.PAUSE)
    assert store.extend(search.id, five_more).state is JobState.PAUSED
    assert store.get_job(search.id).progress_total == 25


def test_a_cancelled_search_is_over(store: Store, search: JobRecord):
    store.act(search.id, Action.CANCEL)
    with pytest.raises(IllegalTransitionError, match="clone it"):
        store.extend(search.id, five_more)
    assert store.get_job(search.id).progress_total == 10
    with pytest.raises(NotFoundError):
        store.extend("gone", five_more)


def test_a_runner_that_fulfilled_the_old_request_gives_the_search_back(store: Store, search: JobRecord):
    claimed = store.claim(JobKind.SEARCH, "runner", 30, job_id=search.id)
    assert claimed is not None
    store.extend(search.id, five_more)
    left = store.finish(search.id, "runner", result={}, request=claimed.request)
    assert (left.state, left.result, left.lease_owner, left.attempts) == (JobState.QUEUED, None, None, 0)
    again = store.claim(JobKind.SEARCH, "runner", 30, job_id=search.id)
    assert again is not None
    assert store.finish(search.id, "runner", result={}, request=again.request).state is JobState.SUCCEEDED


def test_another_name_or_priority_asks_for_nothing_more(store: Store):
    request = {"name": "", "priority": 0, "max_candidates": 10, "max_seconds": None}
    search = store.create_job(JobKind.SEARCH, name="", request=request, progress_total=10)
    claimed = store.claim(JobKind.SEARCH, "runner", 30, job_id=search.id)
    assert claimed is not None
    edited = store.edit_job(search.id, name="named while it ran", priority=5)
    assert edited.request != claimed.request
    ended = store.finish(search.id, "runner", result={"done": 1}, request=claimed.request)
    assert (ended.state, ended.result, ended.name) == (JobState.SUCCEEDED, {"done": 1}, "named while it ran")


def test_a_failure_is_one_although_the_search_was_extended(store: Store, search: JobRecord):
    claimed = store.claim(JobKind.SEARCH, "runner", 30, job_id=search.id)
    assert claimed is not None
    store.extend(search.id, five_more)
    failed = store.finish(search.id, "runner", error={"title": "broken"}, request=claimed.request)
    assert failed.state is JobState.FAILED


def test_the_same_key_adds_once(store: Store, search: JobRecord):
    key = IdempotencyKey("k", f"POST /v1/searches/{search.id}/extend", "sha")
    first = store.extend(search.id, five_more, idempotency=key)
    store.act(search.id, Action.CANCEL)
    assert store.extend(search.id, five_more, idempotency=key) == first
    assert store.get_job(search.id).progress_total == 15
    other = IdempotencyKey("k", key.method_path, "another sha")
    with pytest.raises(IdempotencyConflictError):
        store.extend(search.id, five_more, idempotency=other)
