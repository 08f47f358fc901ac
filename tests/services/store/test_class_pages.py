"""Lists of all searches that are read class by class of size are as a plain sort of all candidates is."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from services.lifecycle import CandidateState, JobKind
from services.store import Bounds, CandidateFilter, Store, class_pages, ranked_candidates
from services.store.tables import CANDIDATES

SMALL, GOOD = Bounds("params", high=4200), Bounds("accuracy", low=0.6)


@pytest.fixture
def rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """600 candidates in three searches: the larger the better, with many of one accuracy and of one size."""
    monkeypatch.setattr(ranked_candidates, "FEW_OF_ALL", 0)  # so that no bound leads
    monkeypatch.setattr(class_pages, "MANY_PAGES", 2)
    monkeypatch.setattr(class_pages, "PASSED", 0)
    chance = random.Random(0)
    searches = [
        store.create_job(JobKind.SEARCH, name="", request={}, progress_total=200).id for _ in range(3)
    ]
    rows = [_row(chance, searches[place % 3], place // 3) for place in range(600)]
    with store._database.write() as session:
        now = store._database.now(session)
        session.execute(sa.insert(CANDIDATES), [row | {"created_at": now} for row in rows])
    return rows


def _row(chance: random.Random, search_id: str, number: int) -> dict[str, Any]:
    row = {
        "search_id": search_id,
        "number": number,
        "space": chance.choice(["nasbench201", "nasnet_micro"]),
        "encoding": "",
        "canonical_hash": "",
        "seed": 0,
    }
    if number % 20 == 7:
        nothing = dict.fromkeys(("accuracy", "reward", "loss", "params", "flops", "seconds", "extra_metrics"))
        return row | nothing | {"state": CandidateState.FAILED}
    params = int(10 ** chance.uniform(2, 4))
    accuracy = round(min(1.0, 0.2 * len(str(params)) + 0.3 * chance.random()), 2)
    return row | {
        "state": CandidateState.SUCCEEDED,
        "accuracy": accuracy,
        "reward": accuracy,
        "loss": 1.0,
        "params": params,
        "flops": params * chance.randrange(1, 100),
        "seconds": 1.0,
        "extra_metrics": {"latency_ms": 1.0},
    }


@pytest.fixture
def statements(store: Store) -> Iterator[list[str]]:
    """What is asked of the database, as it is asked."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    sa.event.listen(store._database.engine, "before_cursor_execute", note)
    yield asked
    sa.event.remove(store._database.engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("order_by", "within", "fields"),
    [
        ("-accuracy", (SMALL,), {}),
        ("-accuracy", (Bounds("params", low=150, high=900.5),), {}),
        ("-accuracy", (Bounds("params", high=float("inf")),), {}),
        ("-accuracy", (SMALL, Bounds("flops", high=9000)), {}),
        ("-accuracy", (Bounds("flops", high=9000),), {"state": CandidateState.SUCCEEDED}),
        ("-accuracy", (SMALL, GOOD), {}),
        ("-accuracy", (SMALL,), {"search_space": "nasnet_micro"}),
        ("params", (GOOD,), {}),
        ("params", (Bounds("accuracy", low=0.95),), {}),
        ("params", (GOOD, Bounds("params", low=300)), {"search_space": "nasbench201"}),
        ("flops", (Bounds("accuracy", low=0.3, high=0.7),), {}),
    ],
)
def test_pages_by_class_are_those_of_a_plain_sort(
    store: Store,
    rows: list[dict[str, Any]],
    statements: list[str],
    order_by: str,
    within: tuple[Bounds, ...],
    fields: dict[str, Any],
) -> None:
    only = CandidateFilter(within=within, **fields)
    name, sign = order_by.removeprefix("-"), -1 if order_by.startswith("-") else 1
    matching = sorted(
        (sign * row[name], row["search_id"], row["number"]) for row in rows if _passes(row, only)
    )
    assert matching
    for limit in (1, 7, 50, 1000):
        found: list[tuple[str, int]] = []
        cursor = None
        while not found or (cursor is not None and len(found) < 60):
            page = store.list_candidates(only, order_by=order_by, limit=limit, cursor=cursor)
            found += [(each.search_id, each.number) for each in page]
            cursor = page.next_cursor
        assert found == [(search_id, number) for _, search_id, number in matching[: len(found)]]
        assert (cursor is None) is (len(found) == len(matching))
    assert any("RECURSIVE classes" in each for each in statements)


def _passes(row: dict[str, Any], only: CandidateFilter) -> bool:
    if row["accuracy"] is None or only.search_space not in (None, row["space"]):
        return False
    return all(
        (each.low is None or row[each.metric] >= each.low)
        and (each.high is None or row[each.metric] <= each.high)
        for each in only.within
    )


def test_a_page_that_is_near_along_the_order_is_read_there(
    store: Store, rows: list[dict[str, Any]], statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_pages, "PASSED", 100)
    everything = [row for row in rows if row["accuracy"] is not None]
    for high, is_near in ((4200, True), (300, False)):
        statements.clear()
        only = CandidateFilter(within=(Bounds("params", high=high),))
        page = store.list_candidates(only, limit=20)
        best = sorted((row for row in everything if row["params"] <= high), key=_by_rank)
        assert [(each.search_id, each.number) for each in page] == [_by_rank(row)[1:] for row in best[:20]]
        assert any("RECURSIVE classes" in each for each in statements) is not is_near


def _by_rank(row: dict[str, Any]) -> tuple[float, str, int]:
    return (-row["accuracy"], row["search_id"], row["number"])


@pytest.mark.parametrize(
    ("order_by", "within"),
    [
        ("-accuracy", (SMALL, Bounds("loss", high=2.0))),  # the index does not tell losses
        ("-accuracy", (SMALL, Bounds("latency_ms", high=2.0))),
        ("accuracy", (SMALL,)),
        ("-params", (GOOD,)),
        ("number", (SMALL,)),
    ],
)
def test_other_lists_are_not_read_by_class(
    store: Store,
    rows: list[dict[str, Any]],
    statements: list[str],
    order_by: str,
    within: tuple[Bounds, ...],
) -> None:
    page = store.list_candidates(CandidateFilter(within=within), order_by=order_by)
    assert len(page) == 50
    assert not any("RECURSIVE classes" in each for each in statements)
