"""The engines on a real local Ray: what arrives, what fails, what dies, what stops."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from psutil import NoSuchProcess, Process, process_iter

from nas import EstimatorData, Search, SearchSpec, SerialEngine
from nas.actor_engine import ActorEngine
from nas.candidates import CandidateResult, Proposal
from nas.cluster import NoRoomError, RoomWatch, WorkerSetupError
from nas.estimators.base import CandidateScore
from nas.search import Engine
from nas.search_spaces import get_search_space, sample
from nas.tune_engine import TuneEngine

from .conftest import let_ray_find_the_plugin
from .record import Record

pytestmark = pytest.mark.xdist_group("ray")

MakeEngine = Callable[..., Engine]


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    """A local Ray of two CPUs whose workers can import the test plugin."""
    with pytest.MonkeyPatch.context() as patch:
        let_ray_find_the_plugin(patch)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.fixture(params=[TuneEngine, ActorEngine])
def make_engine(request: pytest.FixtureRequest) -> MakeEngine:
    """Makes each engine, from a room watch or none: all keep the same promises."""
    engine: MakeEngine = request.param
    return engine


class Occupant:
    """Of a cluster's processors, on behalf of somebody else."""

    def answer(self) -> str:
        return "here"


def make_search(**changes: Any) -> Search:
    """One slot unless told otherwise: most of a test's time is the start of workers."""
    body = {
        "search_space": {"name": "nasbench201", "channels": 4, "cells_per_stage": 1},
        "algorithm": {"name": "random_search"},
        "estimator": {"name": "scripted"},
        "max_candidates": 6,
        "max_concurrent": 1,
    }
    return Search(SearchSpec.model_validate(body | changes), (1, 8, 8), 10)


def encoding_of(number: int) -> str:
    """Of the candidate with that number in every search of `make_search`."""
    search = make_search()
    return [p.architecture.encoding for _ in range(number + 1) if (p := search.propose())][number]


def eventually(condition: Callable[[], bool]) -> bool:
    for _ in range(300):
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_results_arrive_once_and_are_those_of_the_serial_engine(
    data: EstimatorData, make_engine: MakeEngine
) -> None:
    changes = {"estimator": {"name": "gtn"}, "max_candidates": 12, "max_concurrent": None}
    make_engine().run(search := make_search(**changes), data, parallel := Record())
    SerialEngine().run(make_search(**changes), data, serial := Record())
    assert search.finished
    assert eventually(lambda: ray.available_resources().get("CPU") == 2)  # no worker is left behind
    assert sorted(p.number for p in parallel.proposals) == parallel.numbers == list(range(12))

    def scores(record: Record) -> list[Any]:
        in_order = sorted(record.results, key=lambda result: result.proposal.number)
        return [(r.proposal, replace(r.score, seconds=0.0)) for r in in_order if r.score]

    assert len(scores(parallel)) == 12
    assert scores(parallel) == scores(serial)


def test_one_slot_gives_the_candidates_of_the_serial_engine(
    data: EstimatorData, make_engine: MakeEngine
) -> None:
    evolution = {"name": "regularized_evolution", "population_size": 3, "sample_size": 2}
    changes = {"algorithm": evolution, "max_candidates": 8}
    make_engine().run(make_search(**changes), data, one_slot := Record())
    SerialEngine().run(make_search(**changes), data, serial := Record())
    assert one_slot.proposals == serial.proposals
    assert [r.proposal.number for r in one_slot.results] == list(range(8))
    assert len(set(one_slot.pids)) == 1  # one worker served all
    assert set(one_slot.readouts("train_size")) == {0.0}  # and was not sent what it does not need


def test_candidates_stop_at_rungs_as_in_the_serial_engine(
    data: EstimatorData, make_engine: MakeEngine
) -> None:
    halving = {"name": "successive_halving", "reduction_factor": 2, "rungs": 2}
    changes = {"algorithm": halving, "estimator": {"name": "gtn"}, "max_candidates": 8}
    make_engine().run(make_search(**changes), data, one_slot := Record())
    SerialEngine().run(make_search(**changes), data, serial := Record())
    assert set(one_slot.readouts("depth")) == {0.5, 1.0}
    assert [replace(r.score, seconds=0.0) for r in one_slot.results if r.score] == [
        replace(r.score, seconds=0.0) for r in serial.results if r.score
    ]
    assert all(result.rung is None for result in one_slot.results)


def test_a_candidate_gets_its_slot_before_another_is_looked_for(
    data: EstimatorData, make_engine: MakeEngine
) -> None:
    """Under tight constraints each takes seconds to be found; all of 64 would take minutes."""
    assert eventually(lambda: ray.available_resources().get("CPU") == 2)

    class Watchful(Record):
        def on_proposal(self, proposal: Proposal) -> None:
            super().on_proposal(proposal)
            if proposal.number == 1:
                self.taken = eventually(lambda: ray.available_resources().get("CPU", 0) < 2)

        taken: bool | None = None

    make_engine().run(make_search(max_concurrent=2, max_candidates=4), data, record := Watchful())
    assert record.taken
    assert record.numbers == list(range(4))


def test_known_scores_are_recorded_without_an_evaluation(
    data: EstimatorData, make_engine: MakeEngine
) -> None:
    """The worker would die of them."""
    script = {encoding_of(number): "die" for number in (0, 1, 3)}
    score = CandidateScore(0.5, 1.0, (), 1, 2, 3.0, {})

    def recall(proposal: Proposal) -> CandidateResult | None:
        known = CandidateResult(proposal, score, notes={"reused_from": "other-7"})
        return known if proposal.architecture.encoding in script else None

    spec = make_search(estimator={"name": "scripted", "script": script}).spec
    search = Search(spec, (1, 8, 8), 10, recall=recall)
    make_engine().run(search, data, record := Record())
    assert search.finished
    assert record.numbers == list(range(6))
    reused = {r.proposal.number for r in record.results if r.notes.get("reused_from") == "other-7"}
    assert reused == {0, 1, 3}


def test_failing_candidates_are_results_and_are_not_tried_again(
    data: EstimatorData, make_engine: MakeEngine
) -> None:
    script = {encoding_of(1): "fail", encoding_of(3): "raise"}
    make_engine().run(make_search(estimator={"name": "scripted", "script": script}), data, record := Record())
    assert record.numbers == list(range(6))
    assert set(record.failures) == {1, 3}
    assert record.failures[1] == ("non-finite", "told to fail")
    reason, detail = record.failures[3]
    assert reason == "error"
    assert detail.startswith("ZeroDivisionError: told to raise (in estimate, gtn_nas_test_plugin.py:")


def test_a_candidate_whose_worker_dies_is_tried_again(
    data: EstimatorData, make_engine: MakeEngine, tmp_path: Path
) -> None:
    script = {encoding_of(2): "die once"}
    estimator = {"name": "scripted", "script": script, "folder": str(tmp_path)}
    make_engine().run(make_search(estimator=estimator), data, record := Record())
    assert len(list(tmp_path.iterdir())) == 1
    assert record.numbers == list(range(6))
    assert record.failures == {}


def test_what_workers_measured_for_all_outlives_them(
    data: EstimatorData, make_engine: MakeEngine, tmp_path: Path
) -> None:
    """The first worker dies in the middle of the reference sample, and the next one goes on from there."""
    (folder := tmp_path / "deaths").mkdir()
    space = get_search_space("nasbench201", channels=4, cells_per_stage=1)
    reference = [each.encoding for each in sample(space, 12, seed=0)]
    member = {"name": "scripted", "readouts": ["accuracy"], "log": str(tmp_path / "log")}
    fatal = {"script": {reference[6]: "die once"}, "folder": str(folder)}
    options = {"name": "ensemble", "reference_size": 12}

    search = make_search(estimator=options | {"members": [member | fatal]}, max_candidates=4)
    make_engine().run(search, data, record := Record())
    assert len(list(folder.iterdir())) == 1
    proposed = [each.architecture.encoding for each in record.proposals]
    log = (tmp_path / "log").read_text().split()
    assert log == [*reference, reference[6], *proposed]
    assert eventually(lambda: not [each for each in process_iter() if is_measurements(each)])

    del member["log"]
    SerialEngine().run(
        make_search(estimator=options | {"members": [member]}, max_candidates=4), data, serial := Record()
    )
    assert record.readouts("log_rank") == serial.readouts("log_rank")


def is_measurements(process: Process) -> bool:
    try:
        return "".join(process.cmdline()).startswith("ray::OwnMeasurements")
    except NoSuchProcess:
        return False


def test_a_candidate_that_kills_every_worker_is_given_up_after_three(
    data: EstimatorData, make_engine: MakeEngine, tmp_path: Path
) -> None:
    script = {encoding_of(0): "die"}
    estimator = {"name": "scripted", "script": script, "folder": str(tmp_path)}
    make_engine().run(make_search(estimator=estimator, max_candidates=3), data, record := Record())
    assert len(list(tmp_path.iterdir())) == 3
    assert record.numbers == list(range(3))
    assert set(record.failures) == {0}
    reason, detail = record.failures[0]
    assert reason == "worker lost"
    assert "died" in detail


def test_a_candidate_that_hangs_is_given_up_at_its_limit(
    data: EstimatorData, make_engine: MakeEngine
) -> None:
    estimator = {"name": "scripted", "script": {encoding_of(1): "hang"}}
    search = make_search(estimator=estimator, max_candidates=4, max_candidate_seconds=1.0)
    make_engine().run(search, data, record := Record())
    assert record.numbers == list(range(4))
    assert record.failures == {1: ("timed out", "not evaluated within max_candidate_seconds, 1 s")}
    before, after = dict.fromkeys(record.readouts("pid"))
    assert record.readouts("pid") == [before, after, after]


def test_a_worker_whose_device_breaks_is_replaced_and_its_candidate_tried_again(
    data: EstimatorData, tmp_path: Path, make_engine: MakeEngine
) -> None:
    estimator = {"name": "scripted", "script": {encoding_of(2): "break once"}, "folder": str(tmp_path)}
    make_engine().run(make_search(estimator=estimator), data, record := Record())
    assert record.numbers == list(range(6))
    assert record.failures == {}
    before, after = dict.fromkeys(record.readouts("pid"))
    assert [int(file.name) for file in tmp_path.iterdir()] == [before]
    assert record.readouts("pid") == [before] * 2 + [after] * 4


def test_a_candidate_that_breaks_every_device_is_given_up_after_three(
    data: EstimatorData, tmp_path: Path, make_engine: MakeEngine
) -> None:
    estimator = {"name": "scripted", "script": {encoding_of(0): "break"}, "folder": str(tmp_path)}
    make_engine().run(make_search(estimator=estimator, max_candidates=2), data, record := Record())
    assert len(list(tmp_path.iterdir())) == 3
    assert record.numbers == [0, 1]
    reason, detail = record.failures[0]
    assert (reason, set(record.failures)) == ("worker lost", {0})
    assert "illegal memory access" in detail


def test_a_worker_that_dies_between_two_candidates_is_replaced(
    data: EstimatorData, make_engine: MakeEngine
) -> None:
    class Killer(Record):
        def on_result(self, result: CandidateResult) -> None:
            super().on_result(result)
            if len(self.results) == 2:
                os.kill(self.pids[-1], signal.SIGKILL)

    make_engine().run(make_search(), data, record := Killer())
    assert record.numbers == list(range(6))
    assert record.failures == {}
    assert len(set(record.pids)) == 2


def test_the_slot_of_a_dead_worker_is_filled_again_although_candidates_are_short(
    data: EstimatorData,
    make_engine: MakeEngine,
) -> None:
    """A new trial takes the worker that is free. Were an older one named for it, that waits for a new worker,
    this worker would be cancelled each time: see `SubmissionOrder`."""

    class Killer(Record):
        def on_result(self, result: CandidateResult) -> None:
            super().on_result(result)
            if len(set(self.pids)) == 2 and self.killed is None:
                self.killed = self.pids[-1]
                os.kill(self.killed, signal.SIGKILL)

        killed: int | None = None

        def should_stop(self) -> bool:
            return len(set(self.pids)) == 3 and len(set(self.pids[-6:])) == 2

    search = make_search(
        estimator={"name": "scripted", "seconds": 0.1}, max_concurrent=2, max_candidates=1500
    )
    make_engine().run(search, data, record := Killer())
    assert not search.finished, "two workers were at work again before the candidates ran out"
    assert record.killed not in record.pids[-6:]


def test_a_search_that_no_node_can_hold_says_why_and_fails(
    data: EstimatorData, make_engine: MakeEngine
) -> None:
    reasons: list[str | None] = []
    search = make_search(resources={"cpus_per_candidate": 1, "gpus_per_candidate": 1})
    watch = RoomWatch(on_waiting=reasons.append, limit_seconds=3)
    with pytest.raises(
        NoRoomError, match=r"needs a node with 1 CPUs and 1 GPUs.* after 3 s; add such a node"
    ):
        make_engine(watch).run(search, data, record := Record())
    assert record.results == []
    assert len(reasons) == 1
    assert "1 with 2 CPUs and 0 GPUs" in str(reasons[0])


def test_a_search_that_gets_no_worker_although_there_is_room_says_so_until_it_gets_one(
    data: EstimatorData, make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.cluster.waiting.PATIENCE_SECONDS", 1.0)
    another = ray.remote(num_cpus=2)(Occupant).remote()
    ray.get(another.answer.remote())  # it has all processors now
    reasons: list[str | None] = []

    def leave(reason: str | None) -> None:
        reasons.append(reason)
        if reason is not None:
            ray.kill(another)

    search = make_search(estimator={"name": "scripted", "seconds": 0.5}, max_candidates=2)
    make_engine(RoomWatch(on_waiting=leave)).run(search, data, record := Record())
    assert record.numbers == [0, 1]
    assert len(reasons) == 2
    assert "others hold all that the cluster's nodes have" in str(reasons[0])
    assert reasons[1] is None


@pytest.mark.parametrize("method", ["on_proposal", "on_result", "should_stop"])
def test_an_exception_of_the_observer_ends_the_run_and_is_raised(
    data: EstimatorData, make_engine: MakeEngine, method: str
) -> None:
    class Unwritable(Record):
        def fail(self, *_: Any) -> None:
            raise OSError("the disk is full")

    record = Unwritable()
    setattr(record, method, record.fail)
    with pytest.raises(OSError, match="the disk is full"):
        make_engine().run(make_search(), data, record)
    assert len(record.results) == 0


def test_should_stop_interrupts_candidates_in_flight(data: EstimatorData, make_engine: MakeEngine) -> None:
    """They would take ten minutes each; the test's own time limit is half of that."""

    class Impatient(Record):
        def should_stop(self) -> bool:
            return len(self.proposals) == 2

    search = make_search(estimator={"name": "scripted", "seconds": 600}, max_concurrent=2)
    make_engine().run(search, data, record := Impatient())
    assert [p.number for p in record.proposals] == [0, 1]
    assert record.results == []
    assert not search.finished


def test_max_seconds_ends_the_run(data: EstimatorData, make_engine: MakeEngine) -> None:
    search = make_search(estimator={"name": "scripted", "seconds": 600}, max_seconds=2.0)
    make_engine().run(search, data, record := Record())
    assert record.results == []
    assert record.polls >= 1


@pytest.mark.parametrize("max_seconds", [None, 1.0])
def test_a_search_that_finds_nothing_is_stopped_while_it_looks(
    data: EstimatorData, make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, max_seconds: float | None
) -> None:
    class Impatient(Record):
        def should_stop(self) -> bool:
            return super().should_stop() or (max_seconds is None and self.polls == 3)

    search = make_search(constraints={"max_params": 1}, max_seconds=max_seconds)
    build = search.space.build

    def build_slowly(*arguments: Any, **keywords: Any) -> Any:
        time.sleep(0.05)
        return build(*arguments, **keywords)

    monkeypatch.setattr(search.space, "build", build_slowly)
    make_engine().run(search, data, record := Impatient())
    assert record.proposals == []
    assert search.exhausted is None


def test_an_interrupted_search_is_finished_by_the_next_run(
    data: EstimatorData, make_engine: MakeEngine
) -> None:
    spec = make_search().spec
    make_engine().run(make_search(), data, first := Record(stop_after=2))
    done = {result.proposal.number for result in first.results}
    in_flight = [p for p in first.proposals if p.number not in done]
    rest = Search(spec, (1, 8, 8), 10, first.results, in_flight)
    make_engine().run(rest, data, second := Record())
    times_recorded = Counter(first.numbers + second.numbers)
    assert times_recorded == dict.fromkeys(range(6), 1)


def test_an_estimator_that_no_worker_can_make_ends_the_run(
    data: EstimatorData, make_engine: MakeEngine
) -> None:
    search = make_search(estimator={"name": "scripted", "broken": True})
    with pytest.raises(WorkerSetupError, match="RuntimeError: told to be broken"):
        make_engine().run(search, data, record := Record())
    assert record.results == []
