"""Jobs that are deleted: what goes with them, what stays, and who may write meanwhile."""

from collections.abc import Callable

import pytest

from services.errors import ConflictError, NotFoundError
from services.lifecycle import Action, JobKind, JobState
from services.store import JobRecord, Store, deletion

MakeJob = Callable[..., JobRecord]


def test_who_deletes_a_search_ends_the_trainings_of_its_candidates(
    store: Store, running_search: MakeJob, succeed: Callable[..., None]
):
    """They would fail for want of their candidate, or end in weights that nothing could export."""
    search, other = running_search(), running_search("other")
    succeed(search.id, 0)
    store.act(search.id, Action.CANCEL)

    def train(search_id: str) -> str:
        subject = f"{search_id}-0"
        training = store.create_job(
            JobKind.FINAL_TRAINING, name="", request={}, progress_total=1, subject_id=subject
        )
        return training.id

    ended, running, queued, others = (train(each.id) for each in (search, search, search, other))
    store.claim(JobKind.FINAL_TRAINING, "worker", 60, job_id=ended)
    store.finish(ended, "worker", result={})
    store.claim(JobKind.FINAL_TRAINING, "worker", 60, job_id=running)
    store.delete_job(search.id)
    states = [store.get_job(each).state for each in (ended, running, queued, others)]
    assert states == [JobState.SUCCEEDED, JobState.CANCELLED, JobState.CANCELLED, JobState.QUEUED]
    assert store.heartbeat(running, "worker", 60) is JobState.CANCELLED


def test_only_ended_jobs_can_be_deleted_and_all_of_theirs_goes_too(
    store: Store, running_search: MakeJob, succeed: Callable[..., None]
):
    kept, job = running_search("other"), running_search()
    succeed(kept.id, 0, owner="other")
    succeed(job.id, 0)
    with pytest.raises(ConflictError, match=r"is running; cancel it before deleting it"):
        store.delete_job(job.id)
    assert len(store.history(job.id)) == 1
    store.act(job.id, Action.CANCEL)
    store.delete_job(job.id)
    with pytest.raises(NotFoundError):
        store.get_job(job.id)
    assert (store.history(job.id), store.events_after(job.id)) == ([], [])
    assert len(store.history(kept.id)) == 1
    with pytest.raises(NotFoundError):
        store.delete_job(job.id)


def test_a_large_search_goes_in_portions_between_which_others_write(
    store: Store, running_search: MakeJob, succeed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    other, job = running_search("other"), running_search()
    for number in range(5):
        succeed(job.id, number)
    store.act(job.id, Action.CANCEL)
    left: list[tuple[list[int], int]] = []

    def write_meanwhile(_: float) -> None:
        assert store.heartbeat(other.id, "other", 60) is JobState.RUNNING
        left.append(([each.number for each in store.history(job.id)], len(store.events_after(job.id))))

    monkeypatch.setattr(deletion, "PORTION", 2)
    monkeypatch.setattr(deletion.time, "sleep", write_meanwhile)
    store.delete_job(job.id)
    assert [numbers for numbers, _ in left] == [[0, 1, 2], [0], [], [], [], []][: len(left)]
    assert len(left) >= 4
    with pytest.raises(NotFoundError):
        store.get_job(job.id)
    assert (store.history(job.id), store.events_after(job.id)) == ([], [])


def test_a_search_that_is_resumed_while_it_is_deleted_keeps_what_it_has_left(
    store: Store, running_search: MakeJob, succeed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    job = running_search()
    for number in range(3):
        succeed(job.id, number)
    store.finish(job.id, "runner", error={"title": "broken"})
    monkeypatch.setattr(deletion, "PORTION", 2)
    monkeypatch.setattr(deletion.time, "sleep", lambda _: store.act(job.id, Action.RESUME))
    with pytest.raises(ConflictError, match="is queued"):
        store.delete_job(job.id)
    assert [each.number for each in store.history(job.id)] == [0]
