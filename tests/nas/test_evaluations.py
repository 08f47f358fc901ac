"""Which evaluations count as too long, by a clock that only runs while somebody hears of results."""

from types import SimpleNamespace
from typing import Any

import pytest

from nas.cluster.evaluations import LONGEST_TICK_SECONDS, UNUSUAL_SECONDS, Evaluations


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Workers that were killed."""
    workers: list[str] = []
    monkeypatch.setattr("nas.cluster.evaluations.ray", SimpleNamespace(kill=workers.append))
    return workers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock's one value."""
    now = [1000.0]
    monkeypatch.setattr("nas.cluster.evaluations.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def pass_by(seconds: float, clock: list[float], evaluations: Evaluations) -> None:
    """Time, with a look at each tick."""
    for _ in range(int(seconds / LONGEST_TICK_SECONDS)):
        clock[0] += LONGEST_TICK_SECONDS
        evaluations.look()


def worker(name: str) -> Any:
    return name


def test_only_the_worker_of_a_candidate_beyond_the_limit_is_killed_and_once(
    clock: list[float], killed: list[str]
) -> None:
    evaluations = Evaluations(10.0)
    evaluations.begin(0, worker("first"))
    pass_by(8, clock, evaluations)
    evaluations.begin(1, worker("second"))
    pass_by(2, clock, evaluations)
    assert killed == []
    pass_by(3, clock, evaluations)
    assert killed == ["first"]
    assert evaluations.end(0, evaluated=False)
    assert not evaluations.end(1, evaluated=True)
    assert not evaluations


def test_time_in_which_nobody_could_have_heard_of_a_result_does_not_count(
    clock: list[float], killed: list[str]
) -> None:
    evaluations = Evaluations(10.0)
    evaluations.begin(0, worker("only"))
    clock[0] += 1000  # the database was away
    evaluations.look()
    assert killed == []
    pass_by(10, clock, evaluations)
    assert killed == ["only"]


def test_a_candidate_is_unusual_beside_those_before_and_where_nothing_limits_it(
    clock: list[float], killed: list[str]
) -> None:
    evaluations, limited = Evaluations(None), Evaluations(1e6)
    for each in (evaluations, limited):
        each.begin(0, worker("first"))
        pass_by(UNUSUAL_SECONDS / 5, clock, each)
        assert each.unusual() is None
        each.end(0, evaluated=True)
        each.begin(1, worker("second"))
        pass_by(UNUSUAL_SECONDS * 2, clock, each)
        assert each.unusual() is None  # only ten times as long as the first
        pass_by(2, clock, each)
    assert (evaluations.unusual(), limited.unusual()) == (1, None)
    assert killed == []
