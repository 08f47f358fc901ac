"""Jobs that are deleted: what goes with them, what stays, and who may write meanwhile."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from services.errors import ConflictError, LeaseLostError, NotFoundError
from services.lifecycle import Action, JobKind, JobState
from services.store import CandidateFilter, JobRecord, Store, deletion, open_store
from services.store.tables import CANDIDATES, EVENTS, JOBS

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


def test_a_large_search_is_gone_at_once_for_every_reader_and_action(
    store: Store, large_search: str, running_search: MakeJob
):
    store.measurements(large_search)  # copies are kept in memory
    store.pareto(large_search, ["accuracy", "params"])
    like_it = running_search("other")
    assert len(store.earlier_scores(like_it.id)) == 4
    store.delete_job(large_search)
    assert rows_of(store) == (3, 7), "of the candidates and events only a first portion is"
    first = f"{large_search}-0"
    for call in (
        lambda: store.get_job(large_search),
        lambda: store.get_job(large_search, JobKind.SEARCH),
        lambda: store.act(large_search, Action.RESUME),
        lambda: store.edit_job(large_search, name="another"),
        lambda: store.extend(large_search, lambda job: job.request),
        lambda: store.append_event(large_search, "log", {}),
        lambda: store.delete_job(large_search),
        lambda: store.measurements(large_search),
        lambda: store.encodings(large_search, [0]),
        lambda: store.finish_times(large_search, [0]),
        lambda: store.earlier_scores(large_search),
        lambda: store.get_candidate(first),
    ):
        with pytest.raises(NotFoundError):
            call()
    for write in (
        lambda: store.heartbeat(large_search, "runner", 60),
        lambda: store.finish_candidate("runner", large_search, 5, error={"reason": "late"}),
    ):
        with pytest.raises(LeaseLostError):
            write()
    assert store.requeue_dead("runner") == []
    assert [job.id for job in store.list_jobs(JobKind.SEARCH)] == [like_it.id]
    assert store.count_jobs() == {(JobKind.SEARCH, JobState.RUNNING): 1}
    assert store.count_lease_losses() == {JobKind.SEARCH: 0}
    assert store.candidate_totals().outcomes == {}
    assert store.earlier_scores(like_it.id) == {}
    assert store.pareto(large_search, ["accuracy", "params"]) == []
    for only in (
        CandidateFilter(),
        CandidateFilter(large_search),
        CandidateFilter(search_space="nasbench201"),
    ):
        assert store.list_candidates(only).items == []
    assert store.get_candidates(large_search, [0, 1, 2, 3, 4, 5]) == []


def test_what_a_deleted_search_has_left_goes_in_portions_between_which_others_write(
    store: Store, database_url: str, large_search: str, running_search: MakeJob
):
    other = running_search("other")
    store.delete_job(large_search)
    left: list[tuple[int, int]] = []
    with open_store(database_url) as restarted:  # which knows of it from the database alone
        while restarted.remove_leftovers():
            assert store.heartbeat(other.id, "other", 60) is JobState.RUNNING
            left.append(rows_of(store))
    assert left[:2] == [(1, 7), (0, 5)], "events go when the candidates are gone"
    assert left[-1] == (0, 0)
    assert store.unknown_jobs([large_search, other.id]) == [large_search]
    assert store.get_job(other.id).state is JobState.RUNNING


def test_a_runner_s_last_word_comes_too_late(store: Store, large_search: str):
    """A cancelled search may still have its runner, which has not heard of it."""
    assert store.get_job(large_search).lease_owner == "runner"
    store.delete_job(large_search)
    with pytest.raises(LeaseLostError):
        store.release(large_search, "runner")


def test_a_checkpoint_may_go_once_the_search_about_it_is_deleted(store: Store, large_search: str):
    store.add_checkpoint("checkpoint", {}, 1)
    with pytest.raises(ConflictError, match="is used by 1 job"):
        store.delete_checkpoint("checkpoint")
    store.delete_job(large_search)
    store.delete_checkpoint("checkpoint")


@pytest.fixture
def large_search(
    store: Store,
    running_search: MakeJob,
    succeed: Callable[..., None],
    propose: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A cancelled search with more candidates and events than are removed at once."""
    monkeypatch.setattr(deletion, "PORTION", 2)
    search_id = running_search().id
    for number in range(4):
        succeed(search_id, number)
    propose(search_id, 4)
    store.act(search_id, Action.CANCEL)
    return search_id


def rows_of(store: Store) -> tuple[int, int]:
    """How many candidates and events of ended searches the database has."""
    running = sa.select(JOBS.columns.id).where(JOBS.columns.state == JobState.RUNNING)
    with store._database.read() as session:
        candidates, events = (
            session.scalar(sa.select(sa.func.count()).select_from(table).where(column.not_in(running)))
            for table, column in ((CANDIDATES, CANDIDATES.columns.search_id), (EVENTS, EVENTS.columns.job_id))
        )
    return candidates, events
