"""Jobs as their users see them."""

from collections.abc import Callable

import pytest

from services.errors import IllegalTransitionError, InvalidValueError, NotFoundError
from services.lifecycle import Action, CandidateState, JobKind, JobState
from services.store import JobRecord, Store

MakeJob = Callable[..., JobRecord]


def test_a_new_job_is_queued_and_reads_back_as_created(store: Store, clock):
    job = store.create_job(
        JobKind.SEARCH,
        name="größe",
        request={"max_candidates": 5, "space": {"channels": [8, 16]}, "lr": 0.1, "none": None},
        progress_total=5,
        subject_id="checkpoint",
    )
    assert store.get_job(job.id) == job
    assert (job.state, job.progress_done, job.progress_total, job.attempts) == (JobState.QUEUED, 0, 5, 0)
    assert job.request == {"max_candidates": 5, "space": {"channels": [8, 16]}, "lr": 0.1, "none": None}
    assert job.created_at == clock()
    assert (job.started_at, job.finished_at, job.result, job.error, job.lease_owner) == (None,) * 5


def test_get_job_by_kind(store: Store, queued_search: MakeJob):
    job = queued_search()
    assert store.get_job(job.id, JobKind.SEARCH) == job
    with pytest.raises(NotFoundError, match="no meta_training with id"):
        store.get_job(job.id, JobKind.META_TRAINING)


def test_an_unknown_job_is_not_found(store: Store):
    for job_id in ("nosuchjob", "", "a\0b", "x" * 10_000, "é", "\ud800"):
        for call in (store.get_job, store.delete_job, lambda job_id: store.act(job_id, Action.PAUSE)):
            with pytest.raises(NotFoundError):
                call(job_id)


def test_a_request_that_is_not_json_is_refused_and_nothing_is_stored(store: Store):
    for value in (float("nan"), float("inf"), {1, 2}, "a\0b"):
        with pytest.raises(InvalidValueError, match=r"request\.lr"):
            store.create_job(JobKind.SEARCH, name="", request={"lr": value}, progress_total=1)
    assert store.count_jobs() == {}


def test_jobs_are_listed_newest_first_by_kind_and_state(store: Store, queued_search: MakeJob, clock):
    first = queued_search("first")
    clock.advance(1)
    second = queued_search("second")
    store.create_job(JobKind.META_TRAINING, name="other kind", request={}, progress_total=1)
    store.act(first.id, Action.PAUSE)
    assert [job.name for job in store.list_jobs(JobKind.SEARCH)] == ["second", "first"]
    assert [job.id for job in store.list_jobs(JobKind.SEARCH, state=JobState.QUEUED)] == [second.id]
    assert store.list_jobs(JobKind.FINAL_TRAINING).items == []
    assert store.list_jobs(JobKind.SEARCH, subject_id="checkpoint", limit=1).items == [second]
    assert store.list_jobs(JobKind.SEARCH, subject_id="other").items == []


def test_jobs_are_found_by_a_part_of_their_name(store: Store, queued_search: MakeJob):
    for name in ("ResNet baseline", "resnet, wide", "50% of it", "5000", "a_b", "axb", ""):
        queued_search(name)

    def found(part: str) -> set[str]:
        return {job.name for job in store.list_jobs(JobKind.SEARCH, name=part)}

    assert found("resnet") == found("RESNET") == {"ResNet baseline", "resnet, wide"}
    assert found("50%") == {"50% of it"}
    assert found("a_b") == {"a_b"}
    assert found("baseline of") == set()
    assert len(found("")) == 7
    with pytest.raises(InvalidValueError, match="name holds a NUL"):
        found("a\0")


def test_a_job_gets_another_name_and_priority_and_its_request_tells_them(store: Store):
    asked = {"name": "first", "priority": 0, "seed": 3}
    job = store.create_job(JobKind.SEARCH, name="first", request=asked, progress_total=1)
    bare = store.create_job(JobKind.SEARCH, name="first", request={"seed": 3}, progress_total=1)
    assert store.edit_job(job.id, name="second").request == asked | {"name": "second"}
    edited = store.edit_job(job.id, priority=7)
    assert (edited.name, edited.priority) == ("second", 7)
    assert edited.request == {"name": "second", "priority": 7, "seed": 3}
    assert store.edit_job(job.id) == edited == store.get_job(job.id)
    assert store.edit_job(job.id, name="", priority=0).name == ""
    assert store.edit_job(bare.id, name="second", priority=7).request == {"seed": 3}
    told = [event.data for event in store.events_after(job.id) if event.type == "edited"]
    assert told == [{"name": "second"}, {"priority": 7}, {"name": "", "priority": 0}]  # what is new
    with pytest.raises(InvalidValueError, match="name holds a NUL"):
        store.edit_job(job.id, name="a\0")
    with pytest.raises(NotFoundError):
        store.edit_job("nosuchjob", name="second")


def test_pages_of_jobs_have_no_gap_and_no_repeat(store: Store, queued_search: MakeJob, clock):
    created = []
    for number in range(10):
        created.append(queued_search(str(number)).id)
        if number % 3:  # some share their time of creation
            clock.advance(1)
    listed, cursor = [], None
    while True:
        page = store.list_jobs(JobKind.SEARCH, limit=3, cursor=cursor)
        listed += [job.id for job in page]
        queued_search("newer than where the reader is")
        if (cursor := page.next_cursor) is None:
            break
    assert len(listed) == 10
    assert set(listed) == set(created)


def test_count_jobs(store: Store, queued_search: MakeJob):
    store.act(queued_search().id, Action.CANCEL)
    queued_search()
    queued_search()
    assert store.count_jobs() == {
        (JobKind.SEARCH, JobState.QUEUED): 2,
        (JobKind.SEARCH, JobState.CANCELLED): 1,
    }


def test_pause_resume_cancel(store: Store, queued_search: MakeJob, clock):
    job = queued_search()
    assert store.act(job.id, Action.PAUSE).state is JobState.PAUSED
    assert store.act(job.id, Action.RESUME).state is JobState.QUEUED
    clock.advance(5)
    cancelled = store.act(job.id, Action.CANCEL)
    assert (cancelled.state, cancelled.finished_at) == (JobState.CANCELLED, clock())
    assert store.get_job(job.id) == cancelled


def test_one_that_failed_is_resumed_as_if_it_had_not_ended(
    store: Store, running_search: MakeJob, propose: Callable[..., None], succeed: Callable[..., None]
):
    job = running_search()
    succeed(job.id, 0)
    propose(job.id, 1)
    store.finish(job.id, "runner", error={"title": "no data"})
    assert store.get_candidate(f"{job.id}-1").state is CandidateState.CANCELLED
    resumed = store.act(job.id, Action.RESUME)
    assert (resumed.state, resumed.error, resumed.finished_at) == (JobState.QUEUED, None, None)
    assert (resumed.attempts, resumed.progress_done) == (0, 1)
    assert [candidate.number for candidate in store.in_flight(job.id)] == [1]
    assert store.events_after(job.id)[-1].data == {"state": "queued", "action": "resume"}
    assert store.act(job.id, Action.RESUME) == resumed


def test_every_change_of_state_leaves_one_event_and_a_repetition_none(store: Store, queued_search: MakeJob):
    job = queued_search()
    for action in (Action.PAUSE, Action.PAUSE, Action.RESUME, Action.CANCEL, Action.CANCEL):
        store.act(job.id, action)
    assert [(event.type, event.data) for event in store.events_after(job.id)] == [
        ("state", {"state": "queued", "action": "create"}),
        ("state", {"state": "paused", "action": "pause"}),
        ("state", {"state": "queued", "action": "resume"}),
        ("state", {"state": "cancelled", "action": "cancel"}),
    ]


def test_an_illegal_action_changes_nothing(store: Store, queued_search: MakeJob):
    cancelled = store.act(queued_search().id, Action.CANCEL)
    events = store.events_after(cancelled.id)
    with pytest.raises(IllegalTransitionError, match="cannot resume a cancelled job"):
        store.act(cancelled.id, Action.RESUME)
    assert store.get_job(cancelled.id) == cancelled
    assert store.events_after(cancelled.id) == events
