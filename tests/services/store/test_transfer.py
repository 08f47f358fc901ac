"""A whole database into another, in every direction between the two engines."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.errors import ConflictError, SchemaMismatchError, StoreUnavailableError
from services.lifecycle import JobKind, JobState
from services.store import (
    CandidateFilter,
    IdempotencyKey,
    JobRecord,
    Scope,
    Store,
    copy_database,
    current,
    downgrade,
    open_store,
)
from services.store.engine import Database, create_engine
from services.store.tables import EVENTS, Table

Rows = dict[str, list[dict[str, Any]]]


def contents(url: str) -> Rows:
    """All rows of all tables, as the code sees them."""
    engine = create_engine(url)
    try:
        with Database(engine).read() as session:
            return {
                table.name: [dict(row) for row in session.execute(_in_order(table)).mappings()]
                for table in Table.metadata.sorted_tables
            }
    finally:
        engine.dispose()


def _in_order(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table).order_by(*table.primary_key.columns)


@pytest.fixture
def filled(
    store: Store,
    running_search: Callable[..., JobRecord],
    succeed: Callable[..., None],
    fail: Callable[..., None],
) -> str:
    """The id of a search that was interrupted, in a store with something of everything."""
    search = running_search(candidates=2000)
    for number in range(3):
        succeed(search.id, number, accuracy=0.1 + 0.2 * number, loss=1e-310, reward=number / 7, score=1 / 3)
    fail(search.id, 3)
    store.add_candidate(
        "runner", search.id, 4, space="s", encoding="ü|🧠", canonical_hash="h", seed=2**63 - 1, parents=(0, 2)
    )
    request = {"text": "ü", "numbers": [0.1, 2**62, None, True], "nested": {"": []}}
    key = IdempotencyKey("key", "POST /v1/searches", "hash")
    store.create_job(JobKind.SEARCH, name="queued", request=request, progress_total=1, idempotency=key)
    store.add_checkpoint("a" * 64, {"seed": 0}, 2**40)
    api_key, _token = store.create_api_key("alice", [Scope.READ, Scope.SUBMIT])
    store.create_session(api_key.id, timedelta(days=1))
    store.append_event(search.id, "note", {"last": "of all"})
    return search.id


def test_the_copy_is_the_same_database_and_goes_on(
    filled: str, store: Store, database_url: str, empty_database_url: str
) -> None:
    before = contents(database_url)
    assert all(before.values()), "a table without rows would prove nothing"
    told: list[tuple[str, int]] = []

    counts = copy_database(database_url, empty_database_url, on_table=lambda *each: told.append(each))

    assert contents(empty_database_url) == contents(database_url) == before
    assert counts == dict(told) == {name: len(rows) for name, rows in before.items()}
    with open_store(empty_database_url) as copy:
        assert copy.database_id() == store.database_id()
        search = copy.get_job(filled)
        assert search.state is JobState.RUNNING
        copy.requeue_expired()
        claimed = copy.claim(JobKind.SEARCH, "another", 30, job_id=filled)
        assert claimed is not None
        best, *_ = copy.list_candidates(CandidateFilter(filled), order_by="rank")
        assert (best.number, best.rank) == (2, 1)


def test_rows_that_come_in_several_parts(
    filled: str, database_url: str, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.store.transfer.ROWS_AT_A_TIME", 2)
    assert copy_database(database_url, empty_database_url)["candidates"] == 5
    assert contents(empty_database_url) == contents(database_url)


def test_an_event_that_was_dropped_keeps_its_id_to_itself(
    filled: str, store: Store, database_url: str, empty_database_url: str
) -> None:
    last = max(event.id for event in store.events_after(filled))
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.delete(EVENTS).where(EVENTS.columns.id == last))
    engine.dispose()
    copy_database(database_url, empty_database_url)
    with open_store(empty_database_url) as copy:
        copy.append_event(filled, "note", {})
        assert max(event.id for event in copy.events_after(filled)) == last + 1


def test_a_database_that_never_had_an_event(store: Store, database_url: str, empty_database_url: str) -> None:
    assert sum(copy_database(database_url, empty_database_url).values()) == 1, "its identity"
    with open_store(empty_database_url) as copy:
        job = copy.create_job(JobKind.SEARCH, name="first", request={}, progress_total=1)
        assert [event.id for event in copy.events_after(job.id)] == [1]


def test_a_target_with_rows_stays_as_it_is(filled: str, database_url: str, empty_database_url: str) -> None:
    copy_database(database_url, empty_database_url)
    before = contents(empty_database_url)
    with pytest.raises(ConflictError, match=r"is not empty: table \w+ has rows; name a database that is new"):
        copy_database(database_url, empty_database_url)
    assert contents(empty_database_url) == before


def test_nothing_is_copied_while_somebody_works(database_url: str, empty_database_url: str) -> None:
    with open_store(database_url) as store:
        job = store.create_job(JobKind.SEARCH, name="search", request={}, progress_total=1)
        store.claim(JobKind.SEARCH, "runner", 60)
    with pytest.raises(
        ConflictError, match=rf"search {job.id} is being worked on by runner.*stop controllers"
    ):
        copy_database(database_url, empty_database_url)
    assert sum(map(len, contents(empty_database_url).values())) == 1, "its identity"


def test_a_copy_that_breaks_off_leaves_an_empty_database(
    filled: str, database_url: str, empty_database_url: str
) -> None:
    def break_off(table: str, _rows: int) -> None:
        if table == "events":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_database(database_url, empty_database_url, on_table=break_off)
    assert sum(map(len, contents(empty_database_url).values())) == 1, "its identity"
    copy_database(database_url, empty_database_url)
    assert contents(empty_database_url) == contents(database_url)


def test_a_source_that_is_not_there_or_of_another_version(
    tmp_path: Path, database_url: str, empty_database_url: str
) -> None:
    with pytest.raises(StoreUnavailableError, match=r"there is no database /.*absent.db"):
        copy_database(f"sqlite:///{tmp_path}/absent.db", empty_database_url)
    assert not (tmp_path / "absent.db").exists()
    downgrade(database_url, "0009")
    with pytest.raises(SchemaMismatchError, match="run `gtn-nas db upgrade`"):
        copy_database(database_url, empty_database_url)
    assert current(empty_database_url) is None
