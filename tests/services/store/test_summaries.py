"""Counts, and the latest job about each subject."""

from collections.abc import Callable
from typing import Any

from services.lifecycle import Action, CandidateState, JobKind, JobState
from services.store import JobRecord, Store, open_store


def test_the_latest_job_of_each_subject(store: Store, clock: Any) -> None:
    def submit(subject_id: str, kind: JobKind = JobKind.FINAL_TRAINING) -> JobRecord:
        return store.create_job(kind, name="", request={}, progress_total=1, subject_id=subject_id)

    ended, _, other = submit("a-0"), submit("a-0", JobKind.SEARCH), submit("b-0")
    store.act(ended.id, Action.CANCEL)
    clock.advance(1)
    later = submit("a-0")
    subjects = ["a-0", "b-0", "c-0", "\0"]

    latest = store.latest_jobs_of(JobKind.FINAL_TRAINING, subjects)
    cancelled = store.latest_jobs_of(JobKind.FINAL_TRAINING, subjects, state=JobState.CANCELLED)

    assert {subject: job.id for subject, job in latest.items()} == {"a-0": later.id, "b-0": other.id}
    assert {subject: job.id for subject, job in cancelled.items()} == {"a-0": ended.id}
    assert store.latest_jobs_of(JobKind.FINAL_TRAINING, []) == {}


def test_candidates_are_counted_by_state_and_reason(
    store: Store,
    running_search: Callable[..., JobRecord],
    succeed: Callable[..., None],
    propose: Callable[..., None],
) -> None:
    search = running_search()
    succeed(search.id, 0)
    for number, reason in [(1, "out of memory"), (2, "out of memory"), (3, "non-finite")]:
        propose(search.id, number)
        store.finish_candidate("runner", search.id, number, error={"reason": reason, "detail": ""})
    propose(search.id, 4)

    assert store.candidate_totals().outcomes == {
        (CandidateState.SUCCEEDED, None): 1,
        (CandidateState.FAILED, "out of memory"): 2,
        (CandidateState.FAILED, "non-finite"): 1,
        (CandidateState.RUNNING, None): 1,
    }


def test_totals_go_on_where_they_were_as_if_counted_anew(
    store: Store,
    database_url: str,
    running_search: Callable[..., JobRecord],
    succeed: Callable[..., None],
    propose: Callable[..., None],
) -> None:
    """Searches that began before the first look, between two, and one that is deleted."""

    def check(scored: int) -> None:
        totals = store.candidate_totals()
        with open_store(database_url) as other:
            assert other.candidate_totals() == totals
        assert totals.outcomes.get((CandidateState.SUCCEEDED, None), 0) == totals.within[-1] == scored
        assert totals.within == sorted(totals.within)

    check(0)
    first, second = running_search(), running_search()
    succeed(first.id, 0, seconds=0.25)
    check(1)
    for number, seconds in [(1, 0.25), (2, 40.5)]:
        succeed(first.id, number, seconds=seconds)
    succeed(second.id, 0, seconds=9000.0)
    propose(second.id, 1)
    check(4)
    assert store.candidate_totals().within == [0, 0, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 4]
    assert store.candidate_totals().seconds == 9041.0
    store.finish_candidate("runner", second.id, 1, error={"reason": "non-finite", "detail": ""})
    check(4)
    store.act(first.id, Action.CANCEL)
    store.delete_job(first.id)
    check(1)
