"""A database with one job of every kind and state in it, written as runners write it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import gtn_core
from nas.fidelity import ScoredCandidate, fidelity_report
from nas.search_spaces import get_search_space
from nas.true_accuracies import TrueAccuracy
from services.artifacts import ArtifactStore
from services.checkpoints import store_checkpoint
from services.controller.validation import check_search
from services.lifecycle import JobKind
from services.schemas.fidelity import FidelityReportRequest
from services.schemas.requests import MetaTrainingRequest, RetrainRequest, SearchRequest
from services.settings import Settings
from services.store import JobRecord, Store

SPACE = {"name": "nasbench201", "channels": 4, "cells_per_stage": 1}
CANDIDATES = 23
TINY = gtn_core.MetaTrainingConfig(
    inner_steps=3,
    batch_size=10,
    meta_steps=1,
    generator_hidden=8,
    generator_channels=(4, 4),
    learner_channels=(4,),
    learner_hidden=8,
)


@dataclass(frozen=True)
class Population:
    """The ids of what is there."""

    checkpoint: str
    meta_training: str
    succeeded: str
    running: str
    failed: str
    queued: str
    final_training: str
    fidelity_report: str

    @property
    def best(self) -> str:
        """The best candidate of the search that succeeded."""
        return f"{self.succeeded}-{CANDIDATES - 1}"


def populate(store: Store, artifacts: ArtifactStore, settings: Settings) -> Population:
    """Fill an empty database."""
    checkpoint = gtn_core.meta_train(gtn_core.load_dataset("digits"), TINY)
    checkpoint_id = store_checkpoint(store, artifacts, checkpoint).id

    def search(name: str, candidates: int) -> JobRecord:
        request = SearchRequest(
            name=name, checkpoint_id=checkpoint_id, search_space=SPACE, max_candidates=candidates
        )
        request = check_search(request, settings, store)
        return _queued(store, JobKind.SEARCH, request, candidates, checkpoint_id)

    succeeded = search("digits, regularized evolution", CANDIDATES)
    score(store, succeeded.id, CANDIDATES)
    store.finish(succeeded.id, "runner", result={"seconds": 31.0})
    running = search("a search that runs", 100)
    score(store, running.id, 7)
    failed = search("a search without memory", 50)
    score(store, failed.id, 2)
    store.finish(
        failed.id,
        "runner",
        error={
            "title": "The runner ended without a result",
            "detail": "the operating system ended it for want of memory, after 2 of 50 candidates",
            "remedy": "lower max_concurrent, or give the machine more memory",
        },
    )
    queued = search("one that waits", 10)
    return Population(
        checkpoint=checkpoint_id,
        meta_training=_meta_training(store, checkpoint_id),
        succeeded=succeeded.id,
        running=running.id,
        failed=failed.id,
        queued=queued.id,
        final_training=_final_training(store, f"{succeeded.id}-{CANDIDATES - 1}"),
        fidelity_report=_fidelity_report(store, checkpoint_id),
    )


def score(store: Store, search_id: str, count: int, *, start: int = 0) -> None:
    """Let a runner score candidates of a search: the later the better, and every ninth fails."""
    if not start:
        assert store.claim(JobKind.SEARCH, "runner", 3600, job_id=search_id) is not None
    space, rng = get_search_space(**SPACE), np.random.default_rng(start)
    for number in range(start, start + count):
        architecture = space.sample(rng)
        store.add_candidate(
            "runner",
            search_id,
            number,
            space="nasbench201",
            encoding=architecture.encoding,
            canonical_hash=f"hash {number}",
            seed=number,
        )
        if number % 9 == 5:
            reason = {"reason": "out of memory", "detail": "the network needs more than the machine has"}
            store.finish_candidate("runner", search_id, number, error=reason)
            continue
        params = int(rng.integers(2_000, 60_000))
        metrics = {
            "accuracy": 0.4 + 0.5 * (number + 1) / (start + count) + float(rng.uniform(0, 0.02)),
            "loss": 2 / (number + 2),
            "params": params,
            "flops": params * 64,
            "seconds": float(rng.uniform(0.2, 0.6)),
        }
        store.finish_candidate("runner", search_id, number, metrics=metrics, loss_curve=[2.3, 1.4, 0.9])


def _meta_training(store: Store, checkpoint_id: str) -> str:
    steps = 40
    request = MetaTrainingRequest(
        name="digits, 10 inner steps", dataset={"name": "digits"}, config={"meta_steps": steps}
    )
    job = _queued(store, JobKind.META_TRAINING, request, steps)
    assert store.claim(JobKind.META_TRAINING, "worker", 3600, job_id=job.id) is not None
    for step in range(1, steps + 1):
        event: dict[str, Any] = {
            "step": step,
            "total": steps,
            "loss": 2.3 * 0.95**step,
            "accuracy": 1 - 0.9 * 0.95**step,
            "gradient_norm": 1 / step,
            "seconds": 0.1,
            "validation_accuracy": 0.9 - 0.8 * 0.95**step if step % 10 == 0 else None,
        }
        store.append_event(job.id, "meta_step", event)
    store.heartbeat(job.id, "worker", 3600, progress_done=steps)
    result = {"checkpoint_id": checkpoint_id, "seconds": 4.2, "validation_accuracy": 0.81}
    store.finish(job.id, "worker", result=result)
    return job.id


def _final_training(store: Store, candidate_id: str) -> str:
    epochs = 5
    request = RetrainRequest(epochs=epochs)
    job = _queued(store, JobKind.FINAL_TRAINING, request, epochs, candidate_id)
    assert store.claim(JobKind.FINAL_TRAINING, "worker", 3600, job_id=job.id) is not None
    history = [
        {
            "epoch": epoch,
            "epochs": epochs,
            "train_loss": 1.5 / epoch,
            "validation_loss": 1.6 / epoch,
            "validation_accuracy": 0.95 - 0.3 / epoch,
            "learning_rate": 0.1 / epoch,
            "seconds": 1.5,
        }
        for epoch in range(1, epochs + 1)
    ]
    for report in history:
        store.append_event(job.id, "epoch", {"done": report["epoch"], "total": epochs, **report})
    store.heartbeat(job.id, "worker", 3600, progress_done=epochs)
    result = {
        "test_accuracy": 0.903,
        "test_loss": 0.31,
        "validation_accuracy": 0.89,
        "history": history,
        "config": request.model_dump(mode="json"),
        "seconds": 7.5,
        "weights": "0" * 64,
    }
    store.finish(job.id, "worker", result=result)
    return job.id


def _fidelity_report(store: Store, checkpoint_id: str) -> str:
    request = FidelityReportRequest(checkpoint_id=checkpoint_id, search_space=SPACE, candidates=20)
    job = _queued(store, JobKind.FIDELITY_REPORT, request, 40, checkpoint_id)
    assert store.claim(JobKind.FIDELITY_REPORT, "worker", 3600, job_id=job.id) is not None
    space, rng = get_search_space(**SPACE), np.random.default_rng(0)
    truth = [TrueAccuracy(space.sample(rng), 0.6 + 0.015 * number) for number in range(20)]
    outcomes = {
        label: [ScoredCandidate(entry.accuracy + noise * float(rng.normal()), {}, 0.4) for entry in truth]
        for label, noise in (("gtn", 0.05), ("zero_cost", 0.2))
    }
    report = fidelity_report(truth, outcomes, population="unique", resamples=50)
    store.heartbeat(job.id, "worker", 3600, progress_done=40)
    store.finish(job.id, "worker", result=report.to_json())
    return job.id


def _queued(
    store: Store, kind: JobKind, request: Any, total: int, subject_id: str | None = None
) -> JobRecord:
    return store.create_job(
        kind,
        name=request.name,
        request=request.model_dump(mode="json"),
        subject_id=subject_id,
        progress_total=total,
    )
