"""Counts, and the latest job about each subject."""

from collections.abc import Callable
from typing import Any

from services.lifecycle import Action, CandidateState, JobKind, JobState
from services.store import JobRecord, Store


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

    assert store.count_candidates() == {
        (CandidateState.SUCCEEDED, None): 1,
        (CandidateState.FAILED, "out of memory"): 2,
        (CandidateState.FAILED, "non-finite"): 1,
        (CandidateState.RUNNING, None): 1,
    }
