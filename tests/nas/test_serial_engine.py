"""A whole search in this process, on real digits."""

from pathlib import Path
from typing import Any

import pytest

from gtn_core.errors import UnknownNameError
from nas import EstimatorData, Search, SearchSpec, SerialEngine, search_in_process
from nas.candidates import CandidateResult, Proposal
from nas.estimators import make_estimator
from nas.estimators.base import CandidateScore

from .record import Record


@pytest.fixture(autouse=True)
def _plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent / "plugin")


def make_search(**changes: Any) -> Search:
    body = {
        "search_space": {"name": "nasbench201", "channels": 4, "cells_per_stage": 1},
        "algorithm": {"name": "random_search"},
        "max_candidates": 5,
    }
    return Search(SearchSpec.model_validate(body | changes), (1, 8, 8), 10)


def test_every_candidate_is_recorded_before_and_after_its_evaluation(data: EstimatorData) -> None:
    search, record = make_search(), Record()
    SerialEngine().run(search, data, record)
    assert search.finished
    assert [result.proposal for result in record.results] == record.proposals
    assert [proposal.number for proposal in record.proposals] == [0, 1, 2, 3, 4]
    assert all(result.score is not None for result in record.results)


def test_a_failing_candidate_does_not_end_the_search(data: EstimatorData) -> None:
    twin = make_search()
    doomed = [proposal.architecture.encoding for _ in range(2) if (proposal := twin.propose())]
    script = dict(zip(doomed, ["fail", "raise"], strict=True))
    record = Record()
    SerialEngine().run(make_search(estimator={"name": "scripted", "script": script}), data, record)
    failures = [(r.failure.reason, r.failure.detail) for r in record.results if r.failure]
    assert failures[0] == ("non-finite", "told to fail")
    assert failures[1][0] == "error"
    assert failures[1][1].startswith("ZeroDivisionError: told to raise (in estimate, gtn_nas_test_plugin.py:")
    assert [r.score is None for r in record.results] == [True, True, False, False, False]


def test_a_search_in_one_call_answers_the_best_first(data: EstimatorData) -> None:
    doomed = make_search().propose()
    assert doomed is not None
    script = {doomed.architecture.encoding: "fail"}
    spec = make_search(
        estimator={"name": "scripted", "script": script}, objectives=["params", "accuracy"]
    ).spec
    ended: list[CandidateResult] = []
    found = search_in_process(spec, data, on_result=ended.append)
    assert [result.proposal.number for result in ended] == [0, 1, 2, 3, 4]
    assert sorted(architecture.encoding for architecture, _ in found) == sorted(
        result.proposal.architecture.encoding for result in ended if result.score
    )
    assert len(found) == 4
    assert [score.params for _, score in found] == sorted(score.params for _, score in found)
    with pytest.raises(UnknownNameError, match="nasbench999"):
        search_in_process(SearchSpec.model_validate({"search_space": {"name": "nasbench999"}}), data)


def test_should_stop_ends_the_run_and_the_search_can_go_on(data: EstimatorData) -> None:
    search = make_search()
    SerialEngine().run(search, data, first := Record(stop_after=2))
    assert len(first.results) == 2
    assert not search.finished
    SerialEngine().run(search, data, rest := Record())
    assert [r.proposal.number for r in rest.results] == [2, 3, 4]


def test_max_seconds_ends_the_run(data: EstimatorData) -> None:
    search = make_search(estimator={"name": "scripted", "seconds": 0.05}, max_seconds=0.01)
    SerialEngine().run(search, data, record := Record())
    assert len(record.results) == 1


@pytest.mark.parametrize("max_seconds", [None, 0.05])
def test_a_search_that_finds_nothing_is_stopped_while_it_looks(
    data: EstimatorData, max_seconds: float | None
) -> None:
    class Impatient(Record):
        def should_stop(self) -> bool:
            return super().should_stop() or (max_seconds is None and self.polls == 3)

    search = make_search(constraints={"max_params": 1}, max_seconds=max_seconds)
    SerialEngine().run(search, data, Impatient())
    assert search.exhausted is None


def test_an_exception_of_the_observer_is_raised(data: EstimatorData) -> None:
    class Unwritable(Record):
        def on_result(self, result: CandidateResult) -> None:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        SerialEngine().run(make_search(), data, Unwritable())


def test_poor_candidates_stop_early_on_the_curriculum(data: EstimatorData) -> None:
    record = Record()
    halving = {"name": "successive_halving", "reduction_factor": 2, "rungs": 2}
    search = make_search(algorithm=halving, max_candidates=8)
    SerialEngine().run(search, data, record)
    scores = [result.score for result in record.results if result.score]
    assert {score.extra["depth"] for score in scores} == {0.5, 1.0}
    for score in scores:
        assert len(score.loss_curve) == 4 * score.extra["depth"], "of four inner steps"
    full = next(result for result in record.results if result.score and result.score.extra["depth"] == 1)
    alone = make_estimator("gtn", data).estimate(search.space, full.proposal.architecture, seed=0)
    assert full.score is not None
    assert (full.score.accuracy, full.score.loss_curve) == (alone.accuracy, alone.loss_curve)


def test_latency_is_measured_before_training_and_can_rule_a_candidate_out(data: EstimatorData) -> None:
    record = Record()
    SerialEngine().run(make_search(objectives=["accuracy", "latency_ms"]), data, record)
    for result in record.results:
        assert result.score is not None
        assert 0 < result.score.latency_ms == result.score.extra["latency_ms"]
        assert "thread" in result.notes["latency_device"]
    slow = Record()
    SerialEngine().run(make_search(constraints={"max_latency_ms": 1e-6}), data, slow)
    failures = [result.failure for result in slow.results if result.failure]
    assert {failure.reason for failure in failures} == {"constraint"}
    assert all(
        "above max_latency_ms 1e-06" in result.failure.detail for result in slow.results if result.failure
    )


def test_a_recalled_score_is_recorded_and_not_measured(data: EstimatorData) -> None:
    record, score = Record(), CandidateScore(0.5, 1.0, (), 1, 2, 3.0, {})

    def recall(proposal: Proposal) -> CandidateResult | None:
        return (
            CandidateResult(proposal, score, notes={"reused_from": "a-1"}) if proposal.number == 2 else None
        )

    body = {"search_space": {"name": "nasbench201", "channels": 4, "cells_per_stage": 1}, "max_candidates": 4}
    search = Search(SearchSpec.model_validate(body), (1, 8, 8), 10, recall=recall)
    SerialEngine().run(search, data, record)
    assert search.finished
    assert [result.score == score for result in record.results] == [False, False, True, False]
