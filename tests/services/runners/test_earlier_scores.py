"""A score that the database has already is used again, and says where it is from."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gtn_core import FrozenCheckpoint
from nas.candidates import CandidateResult, Proposal
from nas.estimators import estimator_config
from nas.estimators.base import CandidateScore
from nas.search import Search
from services.lease import Lease
from services.lifecycle import JobKind
from services.schemas.requests import SearchRequest
from services.search_runner.replay import rebuild_search
from services.search_runner.store_observer import StoreObserver
from services.shutdown import Shutdown
from services.store import JobRecord, Store

PLUGIN = Path(__file__).parents[2] / "nas" / "plugin"
SCORE = CandidateScore(0.75, 1.0, (2.0, 1.0), 100, 1000, 0.5, {"sum_training_loss": 3.0})


def claimed(store: Store, job: JobRecord) -> JobRecord:
    claim = store.claim(JobKind.SEARCH, "runner", 10_000, job_id=job.id)
    assert claim is not None
    return claim


def score_first(
    store: Store, job: JobRecord, checkpoint: FrozenCheckpoint, score: CandidateScore
) -> Proposal:
    """Store the first candidate of a search with this score."""
    search = rebuilt(store, job, checkpoint)
    observer = StoreObserver(store, Lease(store, claimed(store, job), "runner", 30, Shutdown()))
    proposal = search.propose()
    assert proposal is not None
    observer.on_proposal(proposal)
    observer.on_result(search.recall(proposal) or CandidateResult(proposal, score=score))
    return proposal


def rebuilt(store: Store, job: JobRecord, checkpoint: FrozenCheckpoint) -> Search:
    request = SearchRequest.model_validate(job.request)
    return rebuild_search(store, job.id, request, checkpoint.manifest)


def test_the_same_conditions_give_the_same_score_marked(
    store: Store, queue_search: Callable[..., JobRecord], checkpoint: FrozenCheckpoint
) -> None:
    first, second, third = (queue_search() for _ in range(3))
    score_first(store, first, checkpoint, SCORE)
    proposal = score_first(store, second, checkpoint, CandidateScore(0.1, 9.0, (), 1, 1, 9.0, {}))
    record = store.get_candidate(f"{second.id}-0")
    assert record.metrics is not None
    assert (record.metrics["accuracy"], record.metrics["sum_training_loss"]) == (0.75, 3.0)
    assert record.metrics["reused_from"] == f"{first.id}-0"
    # The one who measured is named, also when its score is found in a search that had it from there.
    again = rebuilt(store, third, checkpoint).recall(proposal)
    assert again is not None
    assert again.score == SCORE
    assert again.notes == {"reused_from": f"{first.id}-0"}


@pytest.mark.parametrize(
    "difference",
    [
        {"checkpoint_id": "1" * 64},
        {"search_space": {"name": "nasbench201", "channels": 8, "cells_per_stage": 1}},
        {"estimator": {"name": "gtn", "initialisations": 2}},
        {"seed": 1},
        {"resources": {"gpus_per_candidate": 0.5}},
    ],
    ids=lambda difference: next(iter(difference)),
)
def test_other_conditions_do_not(
    store: Store,
    queue_search: Callable[..., JobRecord],
    checkpoint: FrozenCheckpoint,
    difference: dict[str, object],
) -> None:
    proposal = score_first(store, queue_search(), checkpoint, SCORE)
    cores = {"resources": {"cpus_per_candidate": 2.0}}
    assert rebuilt(store, queue_search(**cores), checkpoint).recall(proposal) is not None
    assert rebuilt(store, queue_search(**difference), checkpoint).recall(proposal) is None


def test_options_of_a_member_that_were_left_out_are_its_defaults(
    store: Store, queue_search: Callable[..., JobRecord], checkpoint: FrozenCheckpoint
) -> None:
    member = {"name": "zero_cost", "readouts": ["flops"]}
    defaults = estimator_config("zero_cost").model_dump(mode="json")
    earlier, complete, other = (
        queue_search(estimator={"name": "ensemble", "members": [each], "reference_size": 48})
        for each in (member, defaults | member, member | {"proxies": []})
    )
    proposal = score_first(store, earlier, checkpoint, SCORE)
    assert rebuilt(store, complete, checkpoint).recall(proposal) is not None
    assert rebuilt(store, other, checkpoint).recall(proposal) is None


@pytest.mark.parametrize(
    "plugin",
    [
        {"search_space": {"name": "letters"}},
        {"estimator": {"name": "scripted"}},
        {"estimator": {"name": "ensemble", "members": [{"name": "zero_cost"}, {"name": "scripted"}]}},
    ],
    ids=["space", "estimator", "member"],
)
def test_what_a_plugin_had_a_part_in_is_measured_again(
    store: Store,
    queue_search: Callable[..., JobRecord],
    checkpoint: FrozenCheckpoint,
    monkeypatch: pytest.MonkeyPatch,
    plugin: dict[str, object],
) -> None:
    monkeypatch.syspath_prepend(PLUGIN)
    proposal = score_first(store, queue_search(**plugin), checkpoint, SCORE)
    assert rebuilt(store, queue_search(**plugin), checkpoint).recall(proposal) is None


def test_a_score_of_a_candidate_that_was_stopped_early_is_none(
    store: Store, queue_search: Callable[..., JobRecord], checkpoint: FrozenCheckpoint
) -> None:
    halving = {"algorithm": {"name": "successive_halving"}}
    stopped = CandidateScore(0.75, 1.0, (2.0,), 100, 1000, 0.5, {"depth": 0.5, "reward_at_rung_0": 0.75})
    proposal = score_first(store, queue_search(**halving), checkpoint, stopped)
    assert rebuilt(store, queue_search(), checkpoint).recall(proposal) is None
