"""Events that are committed in another order than their ids were given out: no reader may miss one."""

import threading
from collections.abc import Callable
from contextlib import closing

import pytest
import sqlalchemy as sa

from services.lifecycle import Action
from services.store import JobRecord, Store
from services.store.events import record_event
from services.store.tables import Job


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_lower_id_that_becomes_visible_later_is_still_news(
    store: Store, queued_search: Callable[..., JobRecord]
) -> None:
    """Two transactions on two jobs: the one that took the lower id commits last."""
    slow, fast = queued_search("slow"), queued_search("fast")
    positions = {job.id: store.events_after(job.id)[-1].id for job in (slow, fast)}
    database = store._database

    with closing(database._writer()) as session:
        job = session.get_one(Job, slow.id, with_for_update=True)
        record_event(session, job, "log", {"from": "slow"}, database.now(session))
        session.flush()  # its id is taken here
        store.append_event(fast.id, "log", {"from": "fast"})
        early, _ = store.news_of_jobs(positions, 100)
        for event in early:
            positions[event.job_id] = event.id
        session.commit()
    late, _ = store.news_of_jobs(positions, 100)

    assert [event.data["from"] for event in early] == ["fast"]
    assert [event.data["from"] for event in late] == ["slow"]
    assert late[0].id < early[0].id, "the ids and the commits were in opposite orders"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_within_a_job_ids_become_visible_in_their_order(
    store: Store, queued_search: Callable[..., JobRecord]
) -> None:
    """The second writer of a job waits for the first one's commit before it takes an id."""
    search = queued_search()
    last = store.events_after(search.id)[-1].id
    database = store._database
    second = threading.Thread(target=store.append_event, args=(search.id, "log", {"number": 2}))

    with closing(database._writer()) as session:
        job = session.get_one(Job, search.id, with_for_update=True)
        record_event(session, job, "log", {"number": 1}, database.now(session))
        session.flush()
        second.start()
        _wait_until_someone_waits_for_a_lock(store)
        before, _ = store.news_of_jobs({search.id: last}, 100)
        session.commit()
    second.join()
    after, _ = store.news_of_jobs({search.id: last}, 100)

    assert before == []
    assert [event.data["number"] for event in after] == [1, 2]


def test_news_are_each_jobs_own_and_say_which_jobs_ended(
    store: Store, queued_search: Callable[..., JobRecord]
) -> None:
    one, two, three = (queued_search(name) for name in ("one", "two", "three"))
    store.act(two.id, Action.CANCEL)
    seen = {one.id: 0, two.id: store.events_after(two.id)[0].id, "nosuch": 0}

    events, ended = store.news_of_jobs(seen, 100)

    assert [(event.job_id, event.data["state"]) for event in events] == [
        (one.id, "queued"), (two.id, "cancelled"),
    ]  # fmt: skip
    assert ended == {two.id, "nosuch"}
    assert three.id not in {event.job_id for event in events}


def test_news_of_many_jobs_come_in_bounded_pieces_without_a_gap(
    store: Store, queued_search: Callable[..., JobRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.store.repository.AT_A_TIME", 20)
    jobs = [queued_search(str(number)) for number in range(50)]
    positions = {job.id: 0 for job in reversed(jobs)}
    received: list[int] = []
    while True:
        events, _ = store.news_of_jobs(positions, 7)
        for event in events:
            positions[event.job_id] = event.id
            received.append(event.id)
        if len(events) < 7:
            break

    with store._database.read() as session:
        everything = list(session.scalars(sa.text("SELECT id FROM events ORDER BY id")))
    assert received == everything
    assert len(received) == len(jobs)


def _wait_until_someone_waits_for_a_lock(store: Store) -> None:
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    for _ in range(3000):
        with store._database.read() as session:
            if session.scalar(waiting):
                return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")
