"""Checkpoints in the store."""

import threading

import pytest

from services.errors import ConflictError, InvalidValueError, NotFoundError
from services.lifecycle import Action, JobKind
from services.store import Store


def test_a_checkpoint_reads_back(store: Store, clock):
    added = store.add_checkpoint("a" * 64, {"dataset": {"name": "digits"}, "seed": 0}, 1234).checkpoint
    assert (added.id, added.size_bytes, added.created_at) == ("a" * 64, 1234, clock())
    assert added.manifest == {"dataset": {"name": "digits"}, "seed": 0}
    assert store.get_checkpoint("a" * 64) == added


def test_adding_again_answers_what_is_there(store: Store, clock):
    first = store.add_checkpoint("a" * 64, {"seed": 0}, 1).checkpoint
    clock.advance(1)
    assert store.add_checkpoint("a" * 64, {"seed": 0}, 1).checkpoint == first
    assert len(store.list_checkpoints()) == 1


def test_a_name_is_kept_and_is_taken_where_there_is_none(store: Store):
    assert store.add_checkpoint("a" * 64, {}, 1).checkpoint.name is None
    assert store.add_checkpoint("a" * 64, {}, 1, name="first").checkpoint.name == "first"
    again = store.add_checkpoint("a" * 64, {}, 1, name="second")
    assert (again.checkpoint.name, again.created) == ("first", False)
    assert store.get_checkpoint("a" * 64).name == "first"


def test_two_who_add_at_once_get_the_same(store: Store):
    records = []
    threads = [
        threading.Thread(target=lambda: records.append(store.add_checkpoint("a" * 64, {}, 1).checkpoint))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(records) == 8
    assert all(record == records[0] for record in records)


def test_lists_are_newest_first_in_pages(store: Store, clock):
    for number in range(5):
        store.add_checkpoint(f"{number}", {}, number)
        clock.advance(1)
    first = store.list_checkpoints(limit=3)
    second = store.list_checkpoints(limit=3, cursor=first.next_cursor)
    assert [record.id for record in (*first, *second)] == ["4", "3", "2", "1", "0"]
    assert second.next_cursor is None


def test_an_unknown_checkpoint_is_not_found(store: Store):
    for checkpoint_id in ("nosuch", "", "a\0b"):
        with pytest.raises(NotFoundError, match="no checkpoint with id"):
            store.get_checkpoint(checkpoint_id)


@pytest.mark.parametrize("kind", [JobKind.SEARCH, JobKind.FIDELITY_REPORT])
def test_a_checkpoint_that_a_job_is_about_stays(store: Store, kind: JobKind):
    store.add_checkpoint("a" * 64, {}, 1)
    job = store.create_job(kind, name="", request={}, progress_total=1, subject_id="a" * 64)
    with pytest.raises(ConflictError, match=f"is used by 1 job.s., the first is '{job.id}'; delete them"):
        store.delete_checkpoint("a" * 64)
    store.act(job.id, Action.CANCEL)
    store.delete_job(job.id)
    store.delete_checkpoint("a" * 64)
    with pytest.raises(NotFoundError):
        store.delete_checkpoint("a" * 64)
    assert store.add_checkpoint("a" * 64, {}, 1).created


def test_a_manifest_that_is_not_json_is_refused(store: Store):
    with pytest.raises(InvalidValueError, match=r"manifest\.metrics\.accuracy is nan"):
        store.add_checkpoint("a" * 64, {"metrics": {"accuracy": float("nan")}}, 1)
