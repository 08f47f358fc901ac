"""Whole searches as arrays: brought forward, on both engines; lineage, rates and counts."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from services.errors import NotFoundError
from services.lifecycle import Action, CandidateState, JobKind
from services.store import Bounds, CandidateFilter, JobRecord, Store, measurements

MakeJob = Callable[..., JobRecord]
Write = Callable[..., None]


def test_measurements_are_in_the_order_of_completion(
    store: Store, running_search: MakeJob, propose: Write, succeed: Write, fail: Write
):
    search = running_search()
    succeed(search.id, 3, accuracy=0.3, params=30)
    fail(search.id, 0)
    succeed(search.id, 1, accuracy=0.1, params=10)
    propose(search.id, 2)
    measured = store.measurements(search.id)
    assert measured.done == 3
    assert measured.numbers.tolist() == [3, 1]
    assert measured.completions.tolist() == [1, 3]
    assert measured.values["accuracy"].tolist() == [0.3, 0.1]
    assert measured.values["params"].tolist() == [30, 10]


def test_the_most_frequent_failures_are_told_each_with_its_first_candidate(
    store: Store, running_search: MakeJob, propose: Write, succeed: Write
):
    search, reasons = running_search(), ["too slow", "diverged", "diverged"]
    reasons += [f"loss {number}" for number in range(3, 2 * measurements.REASONS)]
    for number, reason in enumerate(reasons):
        propose(search.id, number)
        store.finish_candidate("runner", search.id, number, error={"reason": reason, "detail": f"{number}!"})
    succeed(search.id, len(reasons))
    found = store.failures(search.id)
    assert found[:3] == [
        measurements.FailureCount("diverged", 2, 1, "1!"),
        measurements.FailureCount("too slow", 1, 0, "0!"),
        measurements.FailureCount("loss 3", 1, 3, "3!"),
    ]
    assert len(found) == measurements.REASONS


def test_a_copy_is_brought_forward(store: Store, running_search: MakeJob, succeed: Write, fail: Write):
    search = running_search()
    assert store.measurements(search.id).numbers.tolist() == []
    for number in range(4):
        succeed(search.id, number, accuracy=number / 10)
        assert store.measurements(search.id).numbers.tolist() == list(range(number + 1))
    fail(search.id, 4)
    again = store.measurements(search.id)
    assert (again.done, again.numbers.tolist()) == (5, [0, 1, 2, 3])


def test_readers_at_the_same_time_read_a_search_once(
    store: Store, running_search: MakeJob, succeed: Write, monkeypatch: pytest.MonkeyPatch
):
    search = running_search()
    succeed(search.id, 0)
    read, bring_forward = [], measurements._brought_forward

    def slowly(*arguments):
        read.append(arguments)
        time.sleep(0.2)
        return bring_forward(*arguments)

    monkeypatch.setattr(measurements, "_brought_forward", slowly)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: store.measurements(search.id), range(4)))
    assert [each.numbers.tolist() for each in found] == [[0]] * 4
    assert len(read) == 1


def test_an_estimators_own_metric_is_nan_where_it_is_missing(
    store: Store, running_search: MakeJob, succeed: Write
):
    search = running_search()
    succeed(search.id, 0, latency_ms=2.5)
    succeed(search.id, 1)
    latency = store.measurements(search.id, ["latency_ms"]).values["latency_ms"]
    assert latency[0] == 2.5
    assert np.isnan(latency[1])
    assert "latency_ms" not in store.measurements(search.id).values


def test_an_unknown_search_is_not_found(store: Store):
    with pytest.raises(NotFoundError):
        store.measurements("nosuchsearch")


def test_parents_and_children(store: Store, running_search: MakeJob, succeed: Write):
    search = running_search()
    succeed(search.id, 0)
    succeed(search.id, 1)
    for number, parents in ((2, (0,)), (3, (1, 0)), (4, ())):
        made = store.add_candidate(
            "runner",
            search.id,
            number,
            space="nasbench201",
            encoding=f"|{number}|",
            canonical_hash=str(number),
            seed=0,
            parents=parents,
        )
        assert made.parents == parents
        assert store.get_candidate(f"{search.id}-{number}").parents == parents
    assert store.children(search.id, 0, limit=10) == [2, 3]
    assert store.children(search.id, 1, limit=10) == [3]
    assert store.children(search.id, 0, limit=1) == [2]
    assert [each.parents for each in store.in_flight(search.id)] == [(0,), (1, 0), ()]


def test_the_sleep_of_a_runner_is_not_in_the_rate(
    store: Store, running_search: MakeJob, succeed: Write, clock
):
    search = running_search(lease_seconds=30)
    succeed(search.id, 0)
    clock.advance(8 * 3600)
    store.heartbeat(search.id, "runner", 30)
    clock.advance(2)
    succeed(search.id, 1)
    assert store.recent_rate(search.id) == 0.5


def test_rate_over_the_latest_candidates(store: Store, running_search: MakeJob, succeed: Write, clock):
    search = running_search(candidates=100)
    assert store.recent_rate(search.id) is None
    clock.advance(8)
    for number in range(4):  # at once, as their slots began together
        succeed(search.id, number)
    assert store.recent_rate(search.id) == pytest.approx(0.5)
    clock.advance(1000)  # a pause, long ago
    for number in range(4, 16):
        succeed(search.id, number)
        clock.advance(4)
    assert store.recent_rate(search.id, over=10) == pytest.approx(0.25)


def test_a_rate_begins_where_a_runner_took_the_search(
    store: Store, running_search: MakeJob, succeed: Write, clock
):
    search = running_search(candidates=100)
    for number in range(4):
        clock.advance(1)
        succeed(search.id, number)
    store.act(search.id, Action.PAUSE)
    store.release(search.id, "runner")
    clock.advance(100_000)
    store.act(search.id, Action.RESUME)
    store.claim(JobKind.SEARCH, "runner", 1e6, job_id=search.id)
    assert store.recent_rate(search.id) is None
    for number in range(4, 6):
        clock.advance(10)
        succeed(search.id, number)
    assert store.recent_rate(search.id) == pytest.approx(0.1)


def test_counts_by_state(store: Store, running_search: MakeJob, propose: Write, succeed: Write, fail: Write):
    search = running_search()
    succeed(search.id, 0)
    succeed(search.id, 1)
    fail(search.id, 2)
    propose(search.id, 3)
    assert store.count_by_state(search.id) == {
        CandidateState.SUCCEEDED: 2,
        CandidateState.FAILED: 1,
        CandidateState.RUNNING: 1,
    }


def test_encodings_and_finish_times(
    store: Store, running_search: MakeJob, propose: Write, succeed: Write, clock
):
    search = running_search()
    succeed(search.id, 0)
    propose(search.id, 1)
    rest = "|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    assert store.encodings(search.id, [0, 1, 7]) == {
        0: f"|nor_conv_3x3~0|+{rest}",
        1: f"|avg_pool_3x3~0|+{rest}",
    }
    assert store.finish_times(search.id, [0, 1]) == {0: clock.now}
    assert store.finish_times(search.id, range(1500)) == {0: clock.now}  # more than one statement can name


def test_bounds_of_any_metric_filter_lists(
    store: Store, running_search: MakeJob, succeed: Write, fail: Write
):
    search = running_search()
    for number in range(6):
        extra = {"latency_ms": float(number)} if number < 4 else {}
        succeed(search.id, number, accuracy=number / 10, seconds=number / 2, **extra)
    fail(search.id, 6)

    def numbers(*within: Bounds) -> list[int]:
        only = CandidateFilter(search.id, within=within)
        return [candidate.number for candidate in store.list_candidates(only, order_by="number")]

    assert numbers(Bounds("accuracy", 0.2, 0.4)) == [2, 3, 4]
    assert numbers(Bounds("seconds", None, 1.0)) == [0, 1, 2]
    assert numbers(Bounds("latency_ms", 2.0, None)) == [2, 3]
    assert numbers(Bounds("accuracy", 0.2, None), Bounds("seconds", None, 1.5)) == [2, 3]
