"""SQLite is led through a bound that few candidates are within, else along the index of the order.

Whose turn it is, is found by what waits and what runs, however many jobs have ended.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.lifecycle import JobKind
from services.store import Bounds, CandidateFilter, open_store, upgrade
from services.store.engine import Database, opened
from services.store.leases import _queued_in_turn
from services.store.ranked_candidates import candidate_order, filtered
from services.store.tables import CANDIDATES, JOBS

CANDIDATES_OF_A_SEARCH = 6000
NOTHING: dict[str, Any] = {"request": {}, "state": "running", "attempts": 1, "progress_done": 0, "name": ""}


@pytest.fixture(scope="module")
def plan_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Tells the indexes that a list is read by, in a search whose params are their numbers."""
    folder: Path = tmp_path_factory.mktemp("plans")
    upgrade(url := f"sqlite:///{folder / 'store.db'}")
    with open_store(url) as store:
        database = store._database
        with database.write() as session:
            now = database.now(session)
            job = NOTHING | {"id": "s", "kind": "search", "progress_total": 1, "created_at": now}
            session.execute(sa.insert(JOBS), job)
            session.execute(
                sa.insert(CANDIDATES),
                [
                    {
                        "search_id": "s",
                        "number": number,
                        "state": "succeeded",
                        "space": "common" if number % 100 else "rare",
                        "encoding": "",
                        "canonical_hash": str(number),
                        "seed": 0,
                        "completion": number + 1,
                        "accuracy": number / CANDIDATES_OF_A_SEARCH,
                        "reward": number / CANDIDATES_OF_A_SEARCH,
                        "loss": 1.0,
                        "params": number,
                        "flops": number,
                        "seconds": 1.0,
                        "created_at": now,
                    }
                    for number in range(CANDIDATES_OF_A_SEARCH)
                ],
            )

        def plan(only: CandidateFilter, order_by: str) -> str:
            order = candidate_order(order_by, within_search=only.search_id is not None)
            with database.read() as session:
                path = filtered(session, only, order)
                # What `read_page` asks first: an index of metrics holds only candidates that have them.
                valued = path.statement.where(path.order.key(path.order.column).is_not(None))
            return " ".join(steps_of(valued.order_by(*path.order.clauses()), database))

        yield plan


@pytest.mark.parametrize(
    ("only", "order_by", "index", "is_sorted"),
    [
        (CandidateFilter("s", within=(Bounds("params", high=100),)), "-created_at", "search_params", True),
        (
            CandidateFilter("s", within=(Bounds("params", high=5000),)),
            "-created_at",
            "search_created_at",
            False,
        ),
        (
            CandidateFilter("s", within=(Bounds("params", high=5000), Bounds("flops", high=10))),
            "number",
            "search_flops",
            True,
        ),
        (
            CandidateFilter("s", within=(Bounds("params", high=4000), Bounds("flops", low=3900))),
            "rank",
            "search_params",  # leads past more than are few, of which few match
            True,
        ),
        (CandidateFilter("s", within=(Bounds("params", high=5000),)), "params", "search_params", False),
        (CandidateFilter("s", within=(Bounds("params", high=0),)), "params", "search_params", False),
        (
            CandidateFilter("s", within=(Bounds("accuracy", low=0.5),)),
            "number",
            "sqlite_autoindex_candidates",
            False,
        ),
        (CandidateFilter("s", search_space="common"), "-accuracy", "search_accuracy", False),
        (CandidateFilter("s", search_space="common"), "rank", "search_reward", False),
        (CandidateFilter("s"), "-rank", "search_reward", False),
        (CandidateFilter(within=(Bounds("accuracy", low=0.999),)), "number", "all_accuracy", True),
        (CandidateFilter(search_space="common"), "-accuracy", "space_accuracy", False),
        (CandidateFilter(search_space="rare"), "params", "space_accuracy", True),
    ],
)
def test_the_cheaper_way_is_taken(
    plan_of: Any, only: CandidateFilter, order_by: str, index: str, is_sorted: bool
) -> None:
    plan = plan_of(only, order_by)
    assert index in plan
    assert ("TEMP B-TREE" in plan) is is_sorted  # what is not read in order is sorted


@pytest.mark.parametrize("starting", [(), ("one", "another")])
def test_jobs_that_have_ended_do_not_slow_down_the_choice_of_the_next(
    sqlite_url: str, starting: Sequence[str]
) -> None:
    with opened(sqlite_url) as database:
        steps = steps_of(_queued_in_turn([JobKind.SEARCH], datetime.now(UTC), starting), database)
    searches = [step.partition(" USING ")[2] for step in steps if step.startswith(("SEARCH", "SCAN jobs"))]
    by_state = "INDEX ix_jobs_kind_state_owner_key_id (kind=? AND state=?"
    assert searches[:2] == [f"{by_state})", f"COVERING {by_state} AND owner_key_id=?)"]
    assert searches[2:] == ["INDEX sqlite_autoindex_jobs_1 (id=?)"] * bool(starting)


def steps_of(statement: sa.Select[Any], database: Database) -> list[str]:
    text = statement.compile(database.engine, compile_kwargs={"literal_binds": True})
    with database.read() as session:
        rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
        return [row.detail for row in rows]
