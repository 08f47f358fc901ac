"""A search that is rebuilt from its record goes on as the one that wrote it would have."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import pytest

from gtn_core import FrozenCheckpoint
from nas.algorithms.base import MultiFidelityAlgorithm
from nas.architecture import Architecture
from nas.candidates import CandidateResult, Failure, Proposal
from nas.estimators.base import CandidateScore
from nas.search import Search
from services.lease import Lease
from services.lifecycle import Action, JobKind
from services.schemas.requests import SearchRequest
from services.search_runner.replay import rebuild_search
from services.search_runner.results import MAX_DETAIL, MAX_REASON, stored_error, stored_result
from services.search_runner.store_observer import StoreObserver
from services.shutdown import Shutdown
from services.store import CandidateFilter, JobRecord, Store, open_store

OWNER = "runner"


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(runner_database_url: str, clock: Clock) -> Iterator[Store]:
    with open_store(runner_database_url, clock=clock) as store:
        yield store


def test_scores_failures_and_candidates_in_flight_come_back_as_they_were(
    store: Store, queue_search: Callable[..., JobRecord], checkpoint: FrozenCheckpoint
) -> None:
    evolution = {"name": "regularized_evolution", "population_size": 3, "sample_size": 2}
    job = _claim(store, queue_search(candidates=10, algorithm=evolution))
    request, manifest = SearchRequest.model_validate(job.request), checkpoint.manifest
    written = Search(request, manifest.image_shape, manifest.num_classes)
    observer = StoreObserver(store, Lease(store, job, OWNER, 30, Shutdown()))
    results = []
    for number in range(5):
        proposal = written.propose()
        assert proposal is not None
        observer.on_proposal(proposal)
        if number == 2:
            result = CandidateResult(proposal, failure=Failure("bad shape", "3 is not 4"))
        else:
            score = CandidateScore(0.1 * number, 1.0, (2.0, 1.0), 100, 1000, 0.5, {"sum_training_loss": 3.0})
            result = CandidateResult(proposal, score=score)
        observer.on_result(result)
        written.complete(result)
        results.append(result)
    # Not what the algorithm would propose as number 5: it has to come from the record.
    encoding = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    cut_off = Proposal(5, written.space.parse(encoding), "its hash", 0)
    observer.on_proposal(cut_off)

    rebuilt = rebuild_search(store, job.id, request, manifest)
    assert rebuilt.propose() == cut_off
    never_stored = Search(
        request, manifest.image_shape, manifest.num_classes, history=results, in_flight=[cut_off]
    )
    never_stored.propose()
    assert rebuilt.propose() == never_stored.propose()
    assert [record.error for record in store.history(job.id)][2] == {
        "reason": "bad shape",
        "detail": "3 is not 4",
    }


def test_a_failure_that_is_no_text_is_told_with_escapes(
    store: Store, queue_search: Callable[..., JobRecord], checkpoint: FrozenCheckpoint
) -> None:
    job = _claim(store, queue_search())
    observer, proposal = _proposed(store, job, checkpoint)
    observer.on_result(CandidateResult(proposal, failure=Failure("bad \udce9", "caf\udce9.so\0 is missing")))
    assert [record.error for record in store.history(job.id)] == [
        {"reason": r"bad \udce9", "detail": r"caf\udce9.so\0 is missing"}
    ]


def test_a_score_waits_for_a_database_that_is_away_for_a_moment(
    store: Store,
    queue_search: Callable[..., JobRecord],
    checkpoint: FrozenCheckpoint,
    database_away: Callable[[], AbstractContextManager[None]],
) -> None:
    job = _claim(store, queue_search())
    observer, proposal = _proposed(store, job, checkpoint)
    result = CandidateResult(proposal, failure=Failure("bad shape", "3 is not 4"))
    with database_away():
        writing = threading.Thread(target=observer.on_result, args=[result])
        writing.start()
        writing.join(0.7)
        assert writing.is_alive()
    writing.join(60)
    assert [record.number for record in store.history(job.id)] == [0]


def test_what_the_algorithm_heard_of_a_candidate_before_it_failed_comes_back(
    store: Store, queue_search: Callable[..., JobRecord], checkpoint: FrozenCheckpoint
) -> None:
    job = _claim(store, queue_search(candidates=10, algorithm={"name": "successive_halving"}))
    request, manifest = SearchRequest.model_validate(job.request), checkpoint.manifest
    search = Search(request, manifest.image_shape, manifest.num_classes)
    observer = StoreObserver(store, Lease(store, job, OWNER, 30, Shutdown()))
    proposal = search.propose()
    assert proposal is not None
    observer.on_proposal(proposal)
    failure = Failure("non-finite", "loss is nan", rewards_at_rungs=(0.25, 0.5))
    observer.on_result(CandidateResult(proposal, failure=failure))

    (record,) = store.history(job.id)
    assert stored_result(record).failure == failure
    rebuilt = rebuild_search(store, job.id, request, manifest).algorithm
    assert isinstance(rebuilt, MultiFidelityAlgorithm)
    assert not rebuilt.goes_on(0, 0.2), "0.25 was better"
    assert not rebuilt.goes_on(1, 0.4), "0.5 was better"


def test_time_counts_while_a_runner_has_the_search_and_only_then(
    store: Store, queue_search: Callable[..., JobRecord], checkpoint: FrozenCheckpoint, clock: Clock
) -> None:
    def pass_seconds(seconds: float) -> None:
        clock.now += timedelta(seconds=seconds)

    search = queue_search(max_seconds=100)

    def left() -> float | None:
        return _seconds_left(store, search, checkpoint)

    pass_seconds(1000)  # queued
    _claim(store, search)
    assert left() == 100
    pass_seconds(30)
    store.act(search.id, Action.PAUSE)
    store.release(search.id, OWNER)
    pass_seconds(1000)  # paused
    store.act(search.id, Action.RESUME)
    _claim(store, search)
    assert left() == 70
    pass_seconds(80)
    store.release(search.id, OWNER)
    _claim(store, search)
    assert left() == pytest.approx(0, abs=0.01)


def test_a_machine_that_was_off_did_no_work(
    store: Store, queue_search: Callable[..., JobRecord], checkpoint: FrozenCheckpoint, clock: Clock
) -> None:
    search = queue_search(max_seconds=3600)
    assert store.claim(JobKind.SEARCH, OWNER, 60, job_id=search.id) is not None
    clock.now += timedelta(seconds=60)
    store.heartbeat(search.id, OWNER, 30)
    clock.now += timedelta(hours=8)
    store.requeue_expired()
    _claim(store, search)
    assert _seconds_left(store, search, checkpoint) == 3600 - 90


def test_a_runner_that_slept_did_no_work(
    store: Store, queue_search: Callable[..., JobRecord], checkpoint: FrozenCheckpoint, clock: Clock
) -> None:
    search = queue_search(max_seconds=3600)
    assert store.claim(JobKind.SEARCH, OWNER, 30, job_id=search.id) is not None
    clock.now += timedelta(hours=8)
    store.heartbeat(search.id, OWNER, 30)
    clock.now += timedelta(seconds=20)
    store.act(search.id, Action.PAUSE)
    assert _seconds_left(store, search, checkpoint) == 3600 - 50


def test_a_clock_that_was_put_back_gives_a_search_no_more_time(
    store: Store, queue_search: Callable[..., JobRecord], checkpoint: FrozenCheckpoint, clock: Clock
) -> None:
    search = queue_search(max_seconds=3600)
    _claim(store, search)
    clock.now -= timedelta(minutes=10)
    store.act(search.id, Action.PAUSE)
    assert _seconds_left(store, search, checkpoint) == 3600


@pytest.mark.parametrize("while_it_runs", [False, True])
def test_an_extension_is_not_used_up_by_what_a_run_took_beyond_its_limit(
    while_it_runs: bool,
    store: Store,
    queue_search: Callable[..., JobRecord],
    checkpoint: FrozenCheckpoint,
    clock: Clock,
) -> None:
    search = queue_search(max_seconds=2)

    def add(seconds: float) -> None:
        limits = {"max_seconds": store.get_job(search.id).request["max_seconds"] + seconds}
        store.extend(search.id, lambda job: job.request | limits)

    for total in (12, 22):
        request = _claim(store, search).request
        if while_it_runs:
            add(4)
            add(6)
        clock.now += timedelta(seconds=60)  # most of it until Ray was there
        store.finish(search.id, OWNER, result={"timed_out": True}, request=request)
        if not while_it_runs:
            add(10)
        extended = SearchRequest.model_validate(store.get_job(search.id).request)
        assert extended.max_seconds == total
        assert rebuild_search(store, search.id, extended, checkpoint.manifest).spec.max_seconds == 10


def _seconds_left(store: Store, search: JobRecord, checkpoint: FrozenCheckpoint) -> float | None:
    request = SearchRequest.model_validate(search.request)
    return rebuild_search(store, search.id, request, checkpoint.manifest).spec.max_seconds


def _proposed(store: Store, job: JobRecord, checkpoint: FrozenCheckpoint) -> tuple[StoreObserver, Proposal]:
    """The search's first candidate, stored as running, and who will hear of its result."""
    search = Search(SearchRequest.model_validate(job.request), checkpoint.manifest.image_shape, 10)
    observer = StoreObserver(store, Lease(store, job, OWNER, 30, Shutdown()))
    proposal = search.propose()
    assert proposal is not None
    observer.on_proposal(proposal)
    return observer, proposal


def _claim(store: Store, search: JobRecord) -> JobRecord:
    job = store.claim(JobKind.SEARCH, OWNER, 10_000, job_id=search.id)
    assert job is not None
    return job


@pytest.mark.parametrize(
    ("objectives", "order"),
    [(["accuracy"], [1, 0]), (["loss", "params"], [0, 1]), (["score"], [0, 1]), (["params"], [1, 0])],
)
def test_candidates_are_ranked_by_what_the_algorithm_is_told(
    store: Store,
    queue_search: Callable[..., JobRecord],
    checkpoint: FrozenCheckpoint,
    objectives: list[str],
    order: list[int],
) -> None:
    job = _claim(store, queue_search(objectives=objectives))
    search = Search(SearchRequest.model_validate(job.request), checkpoint.manifest.image_shape, 10)
    observer = StoreObserver(store, Lease(store, job, OWNER, 30, Shutdown()))
    for accuracy, loss, params, own in ((0.1, 0.5, 200, 2.0), (0.9, 1.5, 100, 1.0)):
        proposal = search.propose()
        assert proposal is not None
        observer.on_proposal(proposal)
        score = CandidateScore(accuracy, loss, (), params, 1, 0.1, {"score": own})
        observer.on_result(CandidateResult(proposal, score=score))
    ranked = store.list_candidates(CandidateFilter(job.id), order_by="rank")
    assert [each.number for each in ranked] == order


def test_a_failure_is_kept_within_bounds() -> None:
    proposal = Proposal(0, Architecture("nasbench201", "…"), "hash", 0)
    failure = Failure("no\n  luck " + "!" * MAX_REASON, "x" * (MAX_DETAIL + 1))
    error = stored_error(CandidateResult(proposal, failure=failure))
    assert error is not None
    assert error["reason"].startswith("no luck !")
    assert (len(error["reason"]), len(error["detail"])) == (MAX_REASON, MAX_DETAIL)
