"""Events: append-only, resumable without gap or repeat."""

import itertools
import threading
from collections.abc import Callable

import pytest

from services.errors import InvalidValueError, LeaseLostError, NotFoundError
from services.lifecycle import Action
from services.store import JobRecord, Store

MakeJob = Callable[..., JobRecord]


def test_events_come_back_in_order_and_from_any_place(store: Store, queued_search: MakeJob, clock):
    job, other = queued_search(), queued_search()
    for step in range(5):
        store.append_event(job.id, "log", {"step": step, "text": "größe"})
        store.append_event(other.id, "log", {"other": step})
    events = store.events_after(job.id)[1:]  # the first tells that the job was created
    assert [event.data for event in events] == [{"step": step, "text": "größe"} for step in range(5)]
    assert all((event.job_id, event.type, event.created_at) == (job.id, "log", clock()) for event in events)
    assert store.events_after(job.id, events[1].id) == events[2:]
    assert store.events_after(job.id, events[1].id, limit=2) == events[2:4]
    assert store.events_after(job.id, events[-1].id) == []


def test_ids_never_come_back_after_a_deletion(store: Store, queued_search: MakeJob):
    job = queued_search()
    last = store.events_after(store.act(job.id, Action.CANCEL).id)[-1].id
    store.delete_job(job.id)
    assert store.events_after(queued_search().id)[0].id > last


def test_what_cannot_be_appended(store: Store, queued_search: MakeJob):
    with pytest.raises(NotFoundError):
        store.append_event("nosuchjob", "log", {})
    with pytest.raises(InvalidValueError, match=r"data of event 'log'\.loss is nan"):
        store.append_event(queued_search().id, "log", {"loss": float("nan")})
    assert store.events_after("nosuchjob") == []


def test_a_runner_whose_job_was_taken_over_tells_nothing_more(store: Store, running_search: MakeJob):
    job = running_search("former", lease_seconds=0)
    store.append_event(job.id, "epoch", {"epoch": 7}, owner="former")  # slow, and not replaced yet
    store.requeue_expired()
    assert store.claim(job.kind, "successor", 30, job_id=job.id) is not None
    store.append_event(job.id, "epoch", {"epoch": 8}, owner="successor")
    with pytest.raises(LeaseLostError):
        store.append_event(job.id, "epoch", {"epoch": 8}, owner="former")
    epochs = [event.data["epoch"] for event in store.events_after(job.id) if event.type == "epoch"]
    assert epochs == [7, 8]


def test_a_runner_whose_job_was_deleted_has_lost_it(store: Store, running_search: MakeJob):
    job = running_search("runner")
    store.act(job.id, Action.CANCEL)
    store.delete_job(job.id)
    with pytest.raises(LeaseLostError):
        store.append_event(job.id, "epoch", {"epoch": 1}, owner="runner")


def test_a_reader_who_follows_writers_misses_nothing(store: Store, queued_search: MakeJob):
    """Four threads append while one reads on from the last id it has seen, as an event stream does."""
    job = queued_search()

    def write(writer: int) -> None:
        for step in range(25):
            store.append_event(job.id, "log", {"writer": writer, "step": step})

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    seen = []
    while True:
        finished = not any(writer.is_alive() for writer in writers)
        seen += store.events_after(job.id, seen[-1].id if seen else 0, limit=7)
        if finished and len(seen) >= 101:
            break
        assert not finished or store.events_after(job.id, seen[-1].id), (
            f"{101 - len(seen)} events were missed"
        )
    assert [event.id for event in seen] == sorted({event.id for event in seen})
    assert len(seen) == 101


@pytest.mark.parametrize("most", [1, 2, 3, 4, 9, 10, 100])
def test_many_events_are_thinned_evenly_up_to_the_newest(store: Store, queued_search: MakeJob, most: int):
    job, other = queued_search(), queued_search()
    for step in range(10):
        store.append_event(job.id, "step", {"step": step})
        store.append_event(job.id, "noise", {})
        store.append_event(other.id, "step", {"step": 100 + step})

    steps = [event.data["step"] for event in store.thinned_events(job.id, "step", most)]

    assert len(steps) <= most
    assert steps[-1] == 9
    assert len({later - earlier for earlier, later in itertools.pairwise(steps)}) <= 1
    assert most < 10 or steps == list(range(10))


def test_what_few_events_have_can_be_thinned_apart(store: Store, queued_search: MakeJob):
    job = queued_search()
    for step in range(12):
        store.append_event(job.id, "step", {"step": step, "rare": 0.0 if step % 3 == 0 else None})

    few = store.thinned_events(job.id, "step", 2, having="rare")

    assert [event.data["step"] for event in few] == [3, 9]
    assert store.thinned_events(job.id, "step", 2, having="nosuch") == []


def test_thinning_goes_on_after_an_event(store: Store, queued_search: MakeJob):
    job = queued_search()
    for step in range(6):
        store.append_event(job.id, "step", {"step": step})
    fourth = store.events_after(job.id)[4]

    later = store.thinned_events(job.id, "step", 100, after_id=fourth.id)

    assert [event.data["step"] for event in later] == [4, 5]
    assert store.thinned_events(job.id, "step", 100, after_id=later[-1].id) == []
    assert store.thinned_events("nosuch", "step", 100) == []
