"""Migrations: forward, back, forward again, and no difference from the tables."""

import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.errors import SchemaMismatchError
from services.lifecycle import JobKind
from services.store import IdempotencyKey, Scope, current, downgrade, head, open_store, upgrade
from services.store.engine import create_engine
from services.store.tables import Table


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
    indexes = _index_definitions(engine, "candidates")
    assert "(search_id, accuracy DESC, number)" in indexes["ix_candidates_search_accuracy"]
    assert "(accuracy DESC, search_id, number)" in indexes["ix_candidates_all_accuracy"]
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


def _tables(url: str) -> set[str]:
    engine = create_engine(url)
    names = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return names


def _comparable(thing: object, name: str | None, kind: str, reflected: bool, counterpart: object) -> bool:
    """All but the descending indexes, whose direction SQLite does not tell: they are looked at apart."""
    return not (kind == "index" and str(name).endswith("_accuracy"))


def _index_definitions(engine: sa.Engine, table: str) -> dict[str, str]:
    catalogue = {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table",
        "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :table",
    }
    with engine.connect() as connection:
        rows = connection.execute(sa.text(catalogue[engine.dialect.name]), {"table": table})
        return dict(iter(rows))
