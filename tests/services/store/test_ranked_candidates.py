"""Ranked lists: orders, filters, pages without gap or repeat, ranks, Pareto fronts."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from services.errors import InvalidCursorError, InvalidValueError, NotFoundError
from services.lifecycle import CandidateState
from services.store import (
    Bounds,
    CandidateFilter,
    CandidateRecord,
    JobRecord,
    Store,
    fronts,
    ranked_candidates,
)
from services.store.ranked_candidates import ORDER_COLUMNS
from services.store.tables import CANDIDATES

MakeJob = Callable[..., JobRecord]
Write = Callable[..., None]
ORDERS = [sign + name for name in ORDER_COLUMNS for sign in ("", "-")]


@pytest.fixture
def search_id(
    store: Store, running_search: MakeJob, succeed: Write, fail: Write, propose: Write, clock
) -> str:
    """25 candidates with many equal values: 19 succeeded, 4 failed, 2 running."""
    search = running_search(candidates=25)
    chance = random.Random(0)
    for number in range(25):
        if number % 3 == 0:
            clock.advance(1)
        if number in (3, 8, 13, 18):
            fail(search.id, number)
        elif number in (5, 24):
            propose(search.id, number)
        else:
            succeed(
                search.id,
                number,
                accuracy=chance.choice([0.1, 0.5, 0.9]),
                loss=chance.choice([0.0, 1.0]),
                params=chance.choice([1, 2, 3]),
                flops=chance.choice([10, 2**40]),
                seconds=chance.choice([0.5, 1 / 3]),
            )
    return search.id


def read_all(store: Store, only: CandidateFilter, order_by: str, limit: int) -> list[CandidateRecord]:
    candidates: list[CandidateRecord] = []
    cursor = None
    while True:
        page = store.list_candidates(only, order_by=order_by, limit=limit, cursor=cursor)
        assert len(page) == limit or page.next_cursor is None
        candidates += page
        if (cursor := page.next_cursor) is None:
            return candidates


def value_of(candidate: CandidateRecord, order_by: str) -> float | None:
    name = order_by.removeprefix("-")
    if name == "created_at":
        return candidate.created_at.timestamp()
    if name == "number":
        return candidate.number
    return None if candidate.metrics is None else candidate.metrics[name]


def test_pages_in_every_order_have_no_gap_and_no_repeat(store: Store, search_id: str):
    for only, order_by in itertools.product(
        [CandidateFilter(), CandidateFilter(search_id=search_id)], ORDERS
    ):
        listed = read_all(store, only, order_by, 1000)
        assert sorted(candidate.number for candidate in listed) == list(range(25)), (only, order_by)
        values = [value_of(candidate, order_by) for candidate in listed]
        known = [value for value in values if value is not None]
        assert known == sorted(known, reverse=order_by.startswith("-")), (only, order_by)
        assert values[len(known) :] == [None] * (25 - len(known)), "candidates without the metric come last"
        for limit in (2, 25):
            assert read_all(store, only, order_by, limit) == listed, (only, order_by, limit)


def test_pages_across_searches_have_no_gap_where_candidates_of_one_number_are_alike(
    store: Store, running_search: MakeJob, succeed: Write, fail: Write
):
    """In every order all candidates are tied, but for the number and the search."""
    searches = [running_search(), running_search(), running_search()]
    for search, number in itertools.product(searches, range(2)):
        succeed(search.id, number)
    for search in searches:
        fail(search.id, 2)
    ids = sorted(f"{search.id}-{number}" for search, number in itertools.product(searches, range(3)))
    for order_by, limit in itertools.product(ORDERS, (1, 2)):
        listed = [candidate.id for candidate in read_all(store, CandidateFilter(), order_by, limit)]
        assert sorted(listed) == ids, (order_by, limit)


def test_ranks_by_hand(store: Store, running_search: MakeJob, succeed: Write, fail: Write):
    search = running_search()
    for number, accuracy in enumerate([0.5, 0.9, 0.5, 0.9, 0.1]):
        succeed(search.id, number, accuracy=accuracy)
    fail(search.id, 5)
    by_number = store.list_candidates(CandidateFilter(search_id=search.id), order_by="number")
    assert [candidate.rank for candidate in by_number] == [3, 1, 4, 2, 5, None]
    assert [candidate.number for candidate in store.list_candidates()] == [1, 3, 0, 2, 4, 5]
    assert [candidate.number for candidate in store.list_candidates(order_by="accuracy")] == [
        4,
        2,
        0,
        3,
        1,
        5,
    ]
    assert store.get_candidate(f"{search.id}-2").rank == 4
    assert store.get_candidate(f"{search.id}-5").rank is None
    named = store.get_candidates(search.id, [5, 2, 7, 1])
    assert [(candidate.number, candidate.rank) for candidate in named] == [(5, None), (2, 4), (1, 1)]


def test_a_rank_is_that_of_the_whole_search_however_the_page_was_filtered(store: Store, search_id: str):
    ranks = {candidate.id: candidate.rank for candidate in store.list_candidates(limit=100)}
    assert sorted(rank for rank in ranks.values() if rank is not None) == list(range(1, 20))
    filtered = store.list_candidates(
        CandidateFilter(search_id=search_id, within=(Bounds("params", high=1),)), order_by="-seconds"
    )
    assert len(filtered) > 1
    assert all(candidate.rank == ranks[candidate.id] for candidate in filtered)


def test_ranks_go_by_the_reward_whatever_the_accuracy(
    store: Store, running_search: MakeJob, succeed: Write, fail: Write
):
    search = running_search()
    only = CandidateFilter(search.id)
    rewards = {0: -5.0, 1: -1.0, 2: -1.0, 4: -3.0}
    for number, reward in rewards.items():
        succeed(search.id, number, accuracy=0.9 - number / 10, reward=reward, params=number)
    fail(search.id, 3)
    for limit in (1, 2, 50):
        ranked = read_all(store, only, "rank", limit)
        assert [(each.number, each.rank) for each in ranked] == [(1, 1), (2, 2), (4, 3), (0, 4), (3, None)]
        backwards = read_all(store, only, "-rank", limit)
        assert [each.number for each in backwards] == [0, 4, 2, 1, 3]
    few = CandidateFilter(search.id, within=(Bounds("params", high=2),))
    assert [(each.number, each.rank) for each in read_all(store, few, "rank", 1)] == [(1, 1), (2, 2), (0, 4)]
    succeed(search.id, 5, accuracy=0.0, reward=0.0)
    assert store.list_candidates(only, order_by="rank", limit=1).items[0].number == 5
    with store._database.write() as session:
        session.execute(sa.update(CANDIDATES).where(CANDIDATES.columns.number == 1).values(reward=None))
    unrewarded = [(each.number, each.rank) for each in read_all(store, only, "rank", 2)]
    assert unrewarded[-2:] == [(1, None), (3, None)], "no candidate is missing"
    for some in ({"state": CandidateState.SUCCEEDED}, {"within": (Bounds("params", high=500),)}):
        ranked = [each.number for each in read_all(store, CandidateFilter(search.id, **some), "rank", 2)]
        assert (ranked[-1], len(ranked)) == (1, 5), some
    with pytest.raises(InvalidValueError, match="order_by is 'rank'; known: accuracy"):
        store.list_candidates(order_by="rank")


def test_ranks_follow_a_search_that_runs(store: Store, running_search: MakeJob, succeed: Write, fail: Write):
    """Asked for after every candidate, in whichever order they finish."""
    search, chance = running_search(candidates=40), random.Random(0)
    finished: dict[int, float] = {}
    for number in chance.sample(range(40), 40):
        if number % 8 == 0:
            fail(search.id, number)
        else:
            finished[number] = chance.choice([0.1, 0.5, 0.9])
            succeed(search.id, number, accuracy=finished[number])
        best_first = sorted(finished, key=lambda each: (-finished[each], each))
        listed = store.list_candidates(CandidateFilter(search.id, CandidateState.SUCCEEDED), order_by="rank")
        assert [(each.number, each.rank) for each in listed] == [
            (number, place) for place, number in enumerate(best_first, start=1)
        ]


def test_a_reward_of_zero_is_a_reward(store: Store, running_search: MakeJob, succeed: Write):
    search = running_search()
    succeed(search.id, 0, accuracy=0.9, reward=0.0)
    succeed(search.id, 1, accuracy=0.2, reward=0.1)
    assert [store.get_candidate(f"{search.id}-{number}").rank for number in range(2)] == [2, 1]


@pytest.mark.parametrize("at_a_time", [1, 500])
def test_ranks_are_counted_within_each_search(
    store: Store,
    running_search: MakeJob,
    succeed: Write,
    at_a_time: int,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("services.store.repository.AT_A_TIME", at_a_time)
    first, second = running_search("a"), running_search("b")
    succeed(first.id, 0, owner="a", accuracy=0.2)
    succeed(second.id, 0, owner="b", accuracy=0.4)
    succeed(second.id, 1, owner="b", accuracy=0.3)
    assert [(each.search_id, each.rank) for each in store.list_candidates()] == [
        (second.id, 1),
        (second.id, 2),
        (first.id, 1),
    ]


@pytest.mark.parametrize("few", [0, 10_000])
def test_filters_in_every_order_however_few_match(
    store: Store, search_id: str, few: int, monkeypatch: pytest.MonkeyPatch
):
    for name in ("FEW_OF_A_SEARCH", "FEW_OF_ALL"):
        monkeypatch.setattr(ranked_candidates, name, few)
    for only, matches in [
        (CandidateFilter(state=CandidateState.FAILED), lambda c: c.state == "failed"),
        (CandidateFilter(state=CandidateState.RUNNING), lambda c: c.state == "running"),
        (
            CandidateFilter(within=(Bounds("params", high=2),)),
            lambda c: c.metrics is not None and c.metrics["params"] <= 2,
        ),
        (
            CandidateFilter(within=(Bounds("flops", high=10),)),
            lambda c: c.metrics is not None and c.metrics["flops"] <= 10,
        ),
        (
            CandidateFilter(within=(Bounds("accuracy", low=0.5),)),
            lambda c: c.metrics is not None and c.metrics["accuracy"] >= 0.5,
        ),
        (CandidateFilter(search_space="nasbench201"), lambda c: True),
        (CandidateFilter(search_space="other"), lambda c: False),
        (CandidateFilter(search_id="nosuchsearch"), lambda c: False),
        (CandidateFilter(within=(Bounds("params", high=10**30),)), lambda c: c.metrics is not None),
        (CandidateFilter(within=(Bounds("params", high=-(10**30)),)), lambda c: False),
        (
            CandidateFilter(
                search_id=search_id,
                within=(Bounds("params", high=2), Bounds("flops", high=10), Bounds("accuracy", low=0.5)),
            ),
            lambda c: (
                c.metrics is not None
                and c.metrics["params"] <= 2
                and c.metrics["flops"] <= 10
                and c.metrics["accuracy"] >= 0.5
            ),
        ),
    ]:
        for order_by in ("-accuracy", "accuracy", "-params", "created_at", "number"):
            everything = store.list_candidates(order_by=order_by, limit=100)
            expected = [candidate.id for candidate in everything if matches(candidate)]
            listed = [candidate.id for candidate in read_all(store, only, order_by, 4)]
            assert listed == expected, (only, order_by)


def test_an_unknown_order_is_refused_with_the_known_ones(store: Store):
    for order_by in ("", "-", "name", "--accuracy", "accuracy desc", "search_id", "Accuracy"):
        with pytest.raises(InvalidValueError, match="known: accuracy, loss, params, flops, seconds, number"):
            store.list_candidates(order_by=order_by)


def test_a_limit_out_of_bounds_is_refused(store: Store):
    for limit in (0, -1, 1001):
        with pytest.raises(InvalidValueError, match="1 to 1000"):
            store.list_candidates(limit=limit)


def test_a_cursor_serves_the_order_it_was_made_for_alone(store: Store, search_id: str):
    cursor = store.list_candidates(limit=2, order_by="-accuracy").next_cursor
    for order_by in ("accuracy", "loss", "number"):
        with pytest.raises(InvalidCursorError, match="belongs to the order"):
            store.list_candidates(order_by=order_by, cursor=cursor)
    with pytest.raises(InvalidCursorError, match="belongs to the order"):
        store.list_candidates(CandidateFilter(search_id=search_id), cursor=cursor)


def test_an_unknown_candidate_is_not_found(store: Store, search_id: str):
    for candidate_id in (
        "",
        "-",
        "x",
        "x-",
        "x-1x",
        "x--1",
        "x-²",
        f"{search_id}-01",
        f"{search_id}-+1",
        "x-1",
        "x-" + "9" * 30,
        "\0-1",
    ):
        with pytest.raises(NotFoundError, match="no candidate"):
            store.get_candidate(candidate_id)


def test_earlier_scores_are_those_that_succeeded_in_other_searches_the_oldest_first(
    store: Store, running_search: MakeJob, succeed: Write, fail: Write, propose: Write, clock
):
    searches = []
    for owner in "abc":
        searches.append(running_search(owner))
        clock.advance(1)
    oldest, older, own = searches
    fail(oldest.id, 0, owner="a")
    succeed(oldest.id, 1, owner="a")
    propose(oldest.id, 2, owner="a")
    for number in (0, 1):
        succeed(older.id, number, owner="b")
    succeed(own.id, 3, owner="c")

    assert store.earlier_scores(own.id) == {"hash1": f"{oldest.id}-1", "hash0": f"{older.id}-0"}
    with pytest.raises(NotFoundError):
        store.earlier_scores("nosuchsearch")


def test_pareto_front_by_hand(store: Store, running_search: MakeJob, succeed: Write, fail: Write):
    """Accuracy up, params down: 0 is dominated by 1, 3 by 2; 4 equals 2 and stands with it."""
    search = running_search()
    for number, (accuracy, params) in enumerate(
        [(0.6, 30), (0.7, 30), (0.9, 90), (0.8, 95), (0.9, 90), (0.1, 5)]
    ):
        succeed(search.id, number, accuracy=accuracy, params=params)
    fail(search.id, 6)
    front = store.pareto(search.id, ["accuracy", "params"])
    assert [(candidate.number, candidate.rank) for candidate in front] == [(2, 1), (4, 2), (1, 4), (5, 6)]
    assert [candidate.number for candidate in store.pareto(search.id, ["accuracy"])] == [2, 4]
    assert [candidate.number for candidate in store.pareto(search.id, ["params"])] == [5]
    assert store.pareto("nosuchsearch", ["accuracy"]) == []


@pytest.mark.parametrize("head_start", [0.0, 0.5])
def test_pareto_of_more_candidates_than_are_compared_in_memory(
    monkeypatch: pytest.MonkeyPatch, store: Store, running_search: MakeJob, succeed: Write, head_start: float
):
    """What the database leaves out because the last ones beat it is on no front, however poor they are."""
    monkeypatch.setattr(fronts, "MANY", 20)
    search = running_search()
    scores = enumerate(scattered(60))
    points = [(accuracy + head_start * (number < 40), params) for number, (accuracy, params) in scores]
    for number, (accuracy, params) in enumerate(points):
        succeed(search.id, number, accuracy=accuracy, params=params)
    front = store.pareto(search.id, ["accuracy", "params"])
    expected = undominated(points)
    assert {candidate.number for candidate in front} == expected
    assert 5 < len(expected) < 30


def test_a_pareto_front_where_the_last_ones_have_all_failed(
    monkeypatch: pytest.MonkeyPatch, store: Store, running_search: MakeJob, succeed: Write, fail: Write
):
    monkeypatch.setattr(fronts, "MANY", 5)
    search = running_search()
    for number in range(4):
        succeed(search.id, number, accuracy=0.1 * number, params=5)
    for number in range(4, 12):
        fail(search.id, number)
    assert [candidate.number for candidate in store.pareto(search.id, ["accuracy", "params"])] == [3]


def test_a_pareto_front_follows_a_search_that_runs(
    store: Store, running_search: MakeJob, succeed: Write, fail: Write
):
    """Asked for again and again, it is that of all that has finished, in whichever order it did.

    The objectives come in either order, too.
    """
    search, points = running_search(), scattered(60)
    numbers = random.Random(1).sample(range(60), 60)
    sizes = set()
    for place, number in enumerate(numbers):
        accuracy, params = points[number]
        succeed(search.id, number, accuracy=accuracy, params=params)
        if place % 7 == 0:
            finished = sorted(numbers[: place + 1])
            best = undominated([points[each] for each in finished])
            objectives = ["accuracy", "params"] if place % 2 else ["params", "accuracy"]
            front = store.pareto(search.id, objectives)
            assert {candidate.number for candidate in front} == {finished[index] for index in best}
            sizes.add(len(front))
    assert len(sizes) > 3
    fail(search.id, 60)
    assert {each.number for each in store.pareto(search.id, ["accuracy", "params"])} == undominated(points)


def test_a_front_is_that_of_the_moment_although_another_reader_is_ahead(
    store: Store, running_search: MakeJob, succeed: Write, monkeypatch: pytest.MonkeyPatch
):
    search = running_search()
    succeed(search.id, 0, accuracy=0.1)
    bring_forward, ahead = fronts._brought_forward, []

    def slowly(*arguments: Any) -> Any:
        front = bring_forward(*arguments)
        if not ahead:
            ahead.append(True)
            succeed(search.id, 1, accuracy=0.9)
            assert [each.number for each in store.pareto(search.id, ["accuracy"])] == [1]
        return front

    monkeypatch.setattr(fronts, "_brought_forward", slowly)
    assert [each.number for each in store.pareto(search.id, ["accuracy"])] in ([0], [1])


def scattered(count: int) -> list[tuple[float, int]]:
    """Accuracies and sizes, of which many are on the front and some are equal."""
    chance = random.Random(0)
    sizes = [chance.randrange(30) for _ in range(count)]
    return [((size + chance.randrange(25)) / 75, size) for size in sizes]


def undominated(points: list[tuple[float, int]]) -> set[int]:
    """By definition: nobody else is nowhere worse."""
    return {
        number
        for number, point in enumerate(points)
        if not any(a >= point[0] and p <= point[1] and (a, p) != point for a, p in points)
    }


def test_pareto_refuses_unknown_objectives(store: Store):
    for objectives in ([], ["accuracy", "beauty"]):
        with pytest.raises(InvalidValueError, match=r"known: score, accuracy, .*, latency_ms"):
            store.pareto("search", objectives)


def test_pareto_over_a_metric_without_a_column(store: Store, running_search: MakeJob, succeed: Write):
    """Latency is measured on request; a candidate without it has no place on its front."""
    search = running_search()
    for number, (accuracy, latency) in enumerate([(0.9, 5.5), (0.8, 7.0), (0.7, 1.25)]):
        succeed(search.id, number, accuracy=accuracy, latency_ms=latency)
    succeed(search.id, 3, accuracy=0.95)
    front = store.pareto(search.id, ["accuracy", "latency_ms"])
    assert [candidate.number for candidate in front] == [0, 2]
    assert [candidate.number for candidate in store.pareto(search.id, ["latency_ms"])] == [2]
