"""Candidates as their runner writes them."""

from collections.abc import Callable

import pytest

from services.errors import InvalidValueError, LeaseLostError, NotFoundError
from services.lifecycle import CandidateState
from services.store import JobRecord, Store

MakeJob = Callable[..., JobRecord]
Write = Callable[..., None]
METRICS = {"accuracy": 0.75, "loss": 0.5, "params": 12345, "flops": 67890, "seconds": 0.25}


def test_a_proposal_is_running_and_asking_again_changes_nothing(store: Store, running_search: MakeJob, clock):
    job = running_search()
    proposal = {"space": "nasbench201", "encoding": "|a|", "canonical_hash": "h", "seed": 2**62}
    added = store.add_candidate("runner", job.id, 0, **proposal)
    assert (added.id, added.number, added.state) == (f"{job.id}-0", 0, CandidateState.RUNNING)
    assert (added.space, added.encoding, added.canonical_hash, added.seed) == (
        "nasbench201",
        "|a|",
        "h",
        2**62,
    )
    assert (added.metrics, added.error, added.finished_at, added.rank) == (None,) * 4
    clock.advance(1)
    assert store.add_candidate("runner", job.id, 0, **proposal | {"encoding": "another"}) == added
    assert store.in_flight(job.id) == [added]


def test_success_is_stored_with_its_metrics(store: Store, running_search: MakeJob, propose: Write, clock):
    job = running_search()
    propose(job.id, 0)
    clock.advance(3)
    done = store.finish_candidate(
        "runner", job.id, 0, metrics=METRICS | {"gradient_norm": 1.5}, loss_curve=[2.0, 1.0]
    )
    assert done.state is CandidateState.SUCCEEDED
    assert done.metrics == METRICS | {"gradient_norm": 1.5}
    assert done.loss_curve == [2.0, 1.0]
    assert done.finished_at == clock()
    assert store.history(job.id) == [done]
    assert store.in_flight(job.id) == []
    assert store.get_job(job.id).progress_done == 1


def test_failure_is_stored_with_its_reason_and_counts_as_progress(
    store: Store, running_search: MakeJob, propose: Write
):
    job = running_search()
    propose(job.id, 0)
    failed = store.finish_candidate("runner", job.id, 0, error={"title": "out of memory", "detail": "7 GB"})
    assert (failed.state, failed.metrics) == (CandidateState.FAILED, None)
    assert failed.error == {"title": "out of memory", "detail": "7 GB"}
    assert store.get_job(job.id).progress_done == 1


def test_the_event_of_a_candidate_tells_what_a_dashboard_needs(
    store: Store, running_search: MakeJob, propose: Write
):
    job = running_search(candidates=10)
    propose(job.id, 0)
    store.finish_candidate("runner", job.id, 0, metrics=METRICS)
    assert store.events_after(job.id)[-1].type == "candidate"
    assert store.events_after(job.id)[-1].data == {
        "id": f"{job.id}-0",
        "number": 0,
        "state": "succeeded",
        "encoding": store.encodings(job.id, [0])[0],
        "metrics": METRICS,
        "error": None,
        "done": 1,
        "total": 10,
    }


def test_finishing_twice_keeps_the_first_outcome(store: Store, running_search: MakeJob, propose: Write):
    job = running_search()
    outcomes = [{"metrics": METRICS}, {"error": {"title": "out of memory"}}]
    for number, outcome in enumerate(outcomes):
        propose(job.id, number)
        first = store.finish_candidate("runner", job.id, number, **outcome)
        events = store.events_after(job.id)
        assert store.finish_candidate("runner", job.id, number, **outcomes[1 - number]) == first
        assert store.events_after(job.id) == events
        assert store.get_job(job.id).progress_done == number + 1


def test_history_is_in_order_of_completion_whatever_the_clock_says(
    store: Store, running_search: MakeJob, propose: Write
):
    job = running_search()
    for number in range(4):
        propose(job.id, number)
    for number in (2, 0, 3):  # all in the same microsecond
        store.finish_candidate("runner", job.id, number, metrics=METRICS)
    assert [candidate.number for candidate in store.history(job.id)] == [2, 0, 3]
    assert [candidate.number for candidate in store.in_flight(job.id)] == [1]


def test_what_is_not_a_finite_number_never_gets_in(store: Store, running_search: MakeJob, propose: Write):
    job = running_search()
    propose(job.id, 0)
    for outcome, place in [
        ({}, "give exactly one"),
        ({"metrics": METRICS, "error": {}}, "give exactly one"),
        ({"metrics": METRICS | {"loss": float("nan")}}, "metrics.loss is nan"),
        ({"metrics": METRICS | {"accuracy": float("inf")}}, "metrics.accuracy is inf"),
        ({"metrics": METRICS | {"own": float("-inf")}}, "metrics.own is -inf"),
        (
            {"metrics": {"accuracy": 0.5, "loss": 1.0, "params": None}},
            "metrics.params is None; a succeeded candidate has a whole number there",
        ),
        ({"metrics": METRICS, "loss_curve": [1.0, float("nan")]}, r"loss_curve\[1\] is nan"),
        ({"error": {"value": float("nan")}}, "error.value is nan"),
        (
            {"metrics": METRICS | {"params": 1.5}},
            "metrics.params is 1.5; a succeeded candidate has a whole number there",
        ),
        ({"metrics": METRICS | {"flops": -1}}, "metrics.flops is -1; no network has less than 0"),
        ({"metrics": METRICS | {"flops": 2**63}}, "metrics.flops is 9223372036854775808"),
        ({"metrics": METRICS | {"loss": -1e19}}, r"metrics.loss is -1e\+19; at most"),
        ({"metrics": METRICS | {"accuracy": "high"}}, "metrics.accuracy is 'high'"),
    ]:
        with pytest.raises(InvalidValueError, match=place):
            store.finish_candidate("runner", job.id, 0, **outcome)
    assert store.get_candidate(f"{job.id}-0").state is CandidateState.RUNNING
    assert store.get_job(job.id).progress_done == 0


def test_writing_without_the_lease_or_without_the_candidate(store: Store, running_search: MakeJob):
    job = running_search()
    with pytest.raises(LeaseLostError, match="held by 'runner'"):
        store.finish_candidate("somebody else", job.id, 0, metrics=METRICS)
    with pytest.raises(LeaseLostError, match="nobody holds it"):
        store.add_candidate("runner", "nosuchjob", 0, space="s", encoding="e", canonical_hash="h", seed=0)
    with pytest.raises(NotFoundError, match=f"no candidate with id '{job.id}-7'"):
        store.finish_candidate("runner", job.id, 7, metrics=METRICS)
