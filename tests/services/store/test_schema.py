"""Migrations: forward, back, forward again, and no difference from the tables."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.errors import ConflictError, LeaseLostError, SchemaMismatchError, StoreUnavailableError
from services.lifecycle import JobKind, JobState
from services.store import (
    CandidateFilter,
    IdempotencyKey,
    Scope,
    current,
    deletion,
    downgrade,
    head,
    open_store,
    upgrade,
)
from services.store.engine import Database, create_engine
from services.store.schema import require_schema
from services.store.tables import Table


def test_looking_for_a_database_makes_none(tmp_path: Path):
    assert current(f"sqlite:///{tmp_path}/mistyped/gtn-nas.db") is None
    assert list(tmp_path.iterdir()) == []


def test_forward_back_and_forward_with_rows_in_it(empty_database_url: str):
    url = empty_database_url
    assert current(url) is None
    upgrade(url)
    assert current(url) == head()
    _populate(url)
    upgrade(url)
    with open_store(url) as store:
        assert [job.name for job in store.list_jobs(JobKind.SEARCH)] == ["search"], "a no-op keeps the rows"
    downgrade(url, "base")
    assert current(url) is None
    assert _tables(url) == {"alembic_version"}
    upgrade(url)
    with open_store(url) as store:
        assert store.count_jobs() == {}
    _populate(url)


def test_the_migrations_make_the_tables_of_the_code(database_url: str):
    engine = create_engine(database_url)
    options = {"compare_type": True, "compare_server_default": True, "include_object": _comparable}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Table.metadata) == []
    inspector = sa.inspect(engine)
    for table in Table.metadata.tables.values():
        checks = {check["name"] for check in inspector.get_check_constraints(table.name)}
        assert {each.name for each in table.constraints if isinstance(each, sa.CheckConstraint)} == checks
    migrated = {table: _index_definitions(engine, table) for table in Table.metadata.tables}
    with engine.begin() as connection:
        Table.metadata.drop_all(connection)
        Table.metadata.create_all(connection)
    assert migrated == {table: _index_definitions(engine, table) for table in Table.metadata.tables}
    assert (
        "(search_id, accuracy DESC, number, params, flops)"
        in (migrated["candidates"]["ix_candidates_search_accuracy"])
    )
    engine.dispose()


def test_rows_of_the_first_release_survive_the_way_to_this_one_and_back(empty_database_url: str):
    url = empty_database_url
    upgrade(url)
    downgrade(url, "0001")
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in _ROWS_OF_0001:
            connection.execute(sa.text(statement))
    before = _contents(engine)
    assert {table: len(rows) for table, rows in before.items()} == {
        "jobs": 1,
        "candidates": 3,
        "events": 1,
        "checkpoints": 1,
        "api_keys": 1,
        "idempotent_requests": 1,
    }
    for _ in range(2):
        upgrade(url)
        assert current(url) == head()
        with open_store(url) as store:
            (job,) = store.list_jobs(JobKind.SEARCH)
            assert (job.name, job.request, job.priority) == ("old", {"seed": 3}, 0)
            listed = store.list_candidates(CandidateFilter(search_id=job.id))
            assert [(each.number, each.rank, each.encoding) for each in listed] == [
                (1, 1, "b"),
                (0, 2, "a"),
                (2, None, "c"),
            ]
            assert [each.type for each in store.events_after(job.id)] == ["state"]
            assert [each.id for each in store.list_checkpoints()] == ["c"]
        downgrade(url, "0001")
        assert _contents(engine) == before
    engine.dispose()


def test_ranks_of_earlier_candidates_go_by_what_their_search_worked_for(empty_database_url: str):
    upgrade(empty_database_url)
    numbers = {"score": [1, 0], "loss": [1, 0], "accuracy": [0, 1], "latency_ms": [0, 1]}
    searches: dict[str, str] = {}
    with open_store(empty_database_url) as store:
        for objective in numbers:
            request = {"objectives": [objective, "params"]} if objective != "accuracy" else {}
            job = store.create_job(JobKind.SEARCH, name=objective, request=request, progress_total=3)
            store.claim(JobKind.SEARCH, "runner", 60, job_id=job.id)
            for number in range(3):
                store.add_candidate(
                    "runner", job.id, number, space="s", encoding="e", canonical_hash="h", seed=0
                )
            for number, accuracy, loss, own in ((0, 0.9, 2.0, -5.0), (1, 0.1, 1.0, -1.0)):
                metrics = {"accuracy": accuracy, "loss": loss, "params": 1, "flops": 1, "seconds": 1.0}
                metrics |= {"score": own, "latency_ms": own}
                store.finish_candidate("runner", job.id, number, metrics=metrics)
            store.finish_candidate("runner", job.id, 2, error={"reason": "no"})
            searches[objective] = job.id
    downgrade(empty_database_url, "0006")
    upgrade(empty_database_url)
    with open_store(empty_database_url) as store:
        for objective, search_id in searches.items():
            page = store.list_candidates(CandidateFilter(search_id), order_by="rank")
            ranked = [(each.number, each.rank) for each in page.items]
            assert ranked == [(number, 1 + place) for place, number in enumerate(numbers[objective])] + [
                (2, None)
            ], objective


def test_earlier_checkpoints_are_called_what_their_meta_trainings_were(empty_database_url: str):
    upgrade(empty_database_url)
    with open_store(empty_database_url) as store:
        for checkpoint_id, name in (("a" * 64, "mine"), ("b" * 64, ""), ("c" * 64, None)):
            store.add_checkpoint(checkpoint_id, {}, 1)
            if name is not None:
                job = store.create_job(JobKind.META_TRAINING, name=name, request={}, progress_total=1)
                store.claim(JobKind.META_TRAINING, "worker", 60, job_id=job.id)
                store.finish(job.id, "worker", result={"checkpoint_id": checkpoint_id})
    downgrade(empty_database_url, "0008")
    upgrade(empty_database_url)
    with open_store(empty_database_url) as store:
        names = {each.id[0]: each.name for each in store.list_checkpoints()}
    assert names == {"a": "mine", "b": None, "c": None}


def test_a_database_that_was_made_before_databases_had_names_gets_one(empty_database_url: str):
    upgrade(empty_database_url)
    with open_store(empty_database_url) as store:
        named = store.database_id()
    downgrade(empty_database_url, "0009")
    upgrade(empty_database_url)
    with open_store(empty_database_url) as store:
        assert store.database_id() == named
    downgrade(empty_database_url, "0009")
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:  # 0008 once made no more than an index
        connection.execute(sa.text("DROP TABLE identity"))
    engine.dispose()
    upgrade(empty_database_url)
    with open_store(empty_database_url) as store:
        assert store.database_id() not in {"", named}


def test_what_deleted_jobs_have_left_is_gone_on_the_way_back(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
):
    upgrade(empty_database_url)
    monkeypatch.setattr(deletion, "PORTION", 1)
    _populate(empty_database_url)
    engine = create_engine(empty_database_url)
    with open_store(empty_database_url) as store:
        store.requeue_dead("runner")  # going back ends leases
        before = _contents(engine)
        deleted = store.create_job(JobKind.SEARCH, name="deleted", request={}, progress_total=2)
        store.claim(JobKind.SEARCH, "runner", 30, job_id=deleted.id)
        for number in range(2):
            store.add_candidate(
                "runner", deleted.id, number, space="s", encoding="e", canonical_hash="h", seed=0
            )
        store.finish(deleted.id, "runner")
        store.delete_job(deleted.id)
    tables = ("jobs", "candidates", "events")
    assert all(len(_contents(engine)[name]) > len(before[name]) for name in tables)
    downgrade(empty_database_url, "0010")
    assert _contents(engine) == before
    upgrade(empty_database_url)
    with open_store(empty_database_url) as store:
        (job,) = store.list_jobs(JobKind.SEARCH)
        assert [each.number for each in store.list_candidates(CandidateFilter(job.id))] == [0, 1]
        assert not store.remove_leftovers()
    engine.dispose()


def test_processes_that_upgrade_at_once_take_turns(empty_database_url: str):
    errors: list[Exception] = []

    def run() -> None:
        try:
            upgrade(empty_database_url)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert current(empty_database_url) == head()


def test_a_database_without_schema_is_refused_with_the_remedy(empty_database_url: str):
    create_engine(empty_database_url).connect().close()  # SQLite's file is there, and empty
    with pytest.raises(SchemaMismatchError, match=r"has no schema yet.* run `gtn-nas db upgrade`"):
        open_store(empty_database_url)


def test_a_database_newer_than_the_code_is_refused(database_url: str):
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    for opening in (open_store, upgrade):
        with pytest.raises(
            SchemaMismatchError, match=r"has schema 9999, which is newer .* install the newer"
        ):
            opening(database_url)


@pytest.mark.parametrize("told", [["8f0c2d61ab34"], [""], ["0010", "0011"]])
def test_a_database_whose_schema_is_none_of_ours_is_not_called_newer(database_url: str, told: list[str]):
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM alembic_version"))
        for revision in told:
            connection.execute(sa.text("INSERT INTO alembic_version VALUES (:told)"), {"told": revision})
    engine.dispose()
    shown = f"has schema '{', '.join(told)}', which no version of gtn-nas has; GTN_NAS_DATABASE_URL must name"
    for opening in (open_store, upgrade):
        with pytest.raises(SchemaMismatchError, match=shown):
            opening(database_url)


def test_tables_that_are_there_already_are_no_failure_of_the_disk(empty_database_url: str):
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE jobs (id INTEGER)"))
    engine.dispose()
    with pytest.raises(SchemaMismatchError, match=r"tables jobs already.* must name a database of gtn-nas"):
        upgrade(empty_database_url)
    assert _tables(empty_database_url) == {"jobs"}


def test_no_way_leads_back_to_a_schema_that_is_later_or_unknown(empty_database_url: str):
    with pytest.raises((SchemaMismatchError, StoreUnavailableError), match=r"no schema|no database"):
        downgrade(empty_database_url, "0010")
    upgrade(empty_database_url)
    downgrade(empty_database_url, "0009")
    for revision in ("0010", "0123"):
        with pytest.raises(ConflictError, match=f"no way leads back from schema 0009 to {revision}"):
            downgrade(empty_database_url, revision)
    assert current(empty_database_url) == "0009"


def test_runners_lose_their_jobs_to_a_downgrade(empty_database_url: str):
    upgrade(empty_database_url)
    with open_store(empty_database_url) as store:
        job = store.create_job(JobKind.SEARCH, name="", request={}, progress_total=1)
        assert store.claim(JobKind.SEARCH, "runner", 600, job_id=job.id)
        downgrade(empty_database_url, "-1")
        with pytest.raises(LeaseLostError):
            store.heartbeat(job.id, "runner", 600)


def test_looking_at_the_schema_leaves_the_cache_of_statements_to_the_others(database_url: str):
    engine = create_engine(database_url)
    for _ in range(3):
        require_schema(Database(engine))
    assert len(engine._compiled_cache or ()) == 0
    engine.dispose()


def _populate(url: str) -> None:
    with open_store(url) as store:
        key = IdempotencyKey("key", "POST /v1/searches", "hash")
        job = store.create_job(JobKind.SEARCH, name="search", request={}, progress_total=2, idempotency=key)
        store.claim(JobKind.SEARCH, "runner", 30)
        for number in range(2):
            store.add_candidate("runner", job.id, number, space="s", encoding="e", canonical_hash="h", seed=0)
        metrics = {"accuracy": 0.5, "loss": 1.0, "params": 1, "flops": 1, "seconds": 1.0}
        store.finish_candidate("runner", job.id, 0, metrics=metrics)
        store.finish_candidate("runner", job.id, 1, error={"title": "no"})
        store.add_checkpoint("a" * 64, {"seed": 0}, 1)
        store.create_api_key("alice", [Scope.READ])


_NOW = "'2026-01-01 00:00:00.000000'"
_CANDIDATE = (
    "INSERT INTO candidates (search_id, number, state, space, encoding, canonical_hash, seed, completion, "
    "accuracy, loss, params, flops, seconds, extra_metrics, loss_curve, error, created_at) VALUES "
)
_ROWS_OF_0001 = [
    "INSERT INTO jobs (id, kind, name, state, request, progress_done, progress_total, attempts, created_at) "
    f"VALUES ('j', 'search', 'old', 'succeeded', '{{\"seed\": 3}}', 3, 3, 1, {_NOW})",
    f"{_CANDIDATE} ('j', 0, 'succeeded', 's', 'a', 'h', 1, 1, 0.25, 1, 5, 6, 1.5, '{{}}', '[1.0]', NULL, "
    f"{_NOW})",
    f"{_CANDIDATE} ('j', 1, 'succeeded', 's', 'b', 'h', 2, 2, 0.75, 1, 5, 6, 1.5, '{{}}', NULL, NULL, "
    f"{_NOW})",
    f"{_CANDIDATE} ('j', 2, 'failed', 's', 'c', 'h', 3, 3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{{}}', "
    f"{_NOW})",
    f"INSERT INTO events (job_id, type, data, created_at) VALUES ('j', 'state', '{{}}', {_NOW})",
    f"INSERT INTO checkpoints VALUES ('c', '{{}}', 7, {_NOW})",
    f"INSERT INTO api_keys VALUES ('k', 'alice', 'p', '', '', '[]', {_NOW}, NULL, NULL)",
    f"INSERT INTO idempotent_requests VALUES ('k', 'POST /v1/searches', 'h', '{{}}', {_NOW})",
]


def _contents(engine: sa.Engine) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, by the names of the columns that the database has now."""
    names = [name for name in sa.inspect(engine).get_table_names() if name != "alembic_version"]
    with engine.connect() as connection:
        return {
            name: sorted(
                (
                    tuple(sorted(row._mapping.items()))
                    for row in connection.execute(sa.text(f"SELECT * FROM {name}"))
                ),
                key=repr,
            )
            for name in names
        }


def _tables(url: str) -> set[str]:
    engine = create_engine(url)
    names = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return names


def _comparable(thing: object, name: str | None, kind: str, reflected: bool, counterpart: object) -> bool:
    """All but the descending indexes, whose direction SQLite does not tell: they are looked at apart."""
    return not (kind == "index" and str(name).endswith(("_accuracy", "_reward")))


def _index_definitions(engine: sa.Engine, table: str) -> dict[str, str]:
    catalogue = {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table",
        "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :table",
    }
    with engine.connect() as connection:
        rows = connection.execute(sa.text(catalogue[engine.dialect.name]), {"table": table})
        return dict(iter(rows))


def test_runners_of_the_version_before_lose_their_jobs_to_an_upgrade(empty_database_url: str):
    """What they would go on to store would lack what the new version's columns hold."""
    upgrade(empty_database_url)
    with open_store(empty_database_url) as store:
        job = store.create_job(JobKind.SEARCH, name="", request={}, progress_total=1)
        assert store.claim(JobKind.SEARCH, "before", 600, job_id=job.id)
        upgrade(empty_database_url)  # which changes nothing
        assert store.heartbeat(job.id, "before", 600) is JobState.RUNNING

        downgrade(empty_database_url, "-1")
        with pytest.raises(SchemaMismatchError, match="run `gtn-nas db upgrade`"):
            store.claim(JobKind.SEARCH, "another", 600)
        upgrade(empty_database_url)
        with pytest.raises(LeaseLostError):
            store.heartbeat(job.id, "before", 600)
        assert [each.id for each in store.requeue_expired()] == [job.id]
        assert store.claim(JobKind.SEARCH, "after", 600, job_id=job.id)
