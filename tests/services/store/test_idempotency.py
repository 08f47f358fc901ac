"""Idempotency keys of POSTs that create jobs."""

import threading

import pytest

from services.errors import IdempotencyConflictError
from services.lifecycle import Action, JobKind
from services.store import IdempotencyKey, JobRecord, Store

FIRST = IdempotencyKey("key", "POST /v1/searches", "hash of the body")


def create(store: Store, key: IdempotencyKey | None, name: str = "search") -> JobRecord:
    return store.create_job(
        JobKind.SEARCH, name=name, request={"seed": 0}, progress_total=5, subject_id="c", idempotency=key
    )


def test_the_same_request_again_gets_the_first_answer_as_it_was(store: Store, clock):
    first = create(store, FIRST)
    clock.advance(60)
    store.claim(JobKind.SEARCH, "runner", 30)
    assert create(store, FIRST) == first
    assert len(store.list_jobs(JobKind.SEARCH)) == 1


def test_the_first_answer_outlives_its_job(store: Store):
    first = create(store, FIRST)
    store.act(first.id, Action.CANCEL)
    store.delete_job(first.id)
    assert create(store, FIRST) == first
    assert len(store.list_jobs(JobKind.SEARCH)) == 0


def test_the_same_key_with_another_body_is_refused(store: Store):
    create(store, FIRST)
    with pytest.raises(IdempotencyConflictError, match="'key' was used with another body"):
        create(store, IdempotencyKey("key", "POST /v1/searches", "another hash"))
    assert len(store.list_jobs(JobKind.SEARCH)) == 1


def test_keys_of_other_paths_and_no_keys_do_not_meet(store: Store):
    answers = [
        create(store, FIRST),
        create(store, IdempotencyKey("key", "POST /v1/meta-trainings", "another hash")),
        create(store, IdempotencyKey("other key", "POST /v1/searches", "another hash")),
        create(store, None),
        create(store, None),
    ]
    assert len({job.id for job in answers}) == 5


def test_of_equal_requests_at_once_one_creates(store: Store):
    answers: list[JobRecord] = []
    threads = [
        threading.Thread(target=lambda number=number: answers.append(create(store, FIRST, str(number))))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert all(answer == answers[0] for answer in answers)
    assert store.list_jobs(JobKind.SEARCH).items == [answers[0]]
