"""A fidelity-report job: estimators against true accuracies, its evaluations kept as the job's events."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from nas.agreement import defined
from nas.estimators import estimator_data
from nas.fidelity import FidelityProgress, ScoredCandidate
from nas.fidelity_spec import make_fidelity_report
from nas.search_spaces import get_search_space
from nas.slot import own_device
from services.checkpoints import load_checkpoint, load_checkpoint_data
from services.lease import Lease
from services.meta_worker.accuracy_tables import read_table
from services.schemas.fidelity import FidelityReportRequest
from services.store import JsonObject, Store
from services.wiring import Backend

SCORED = "scored"
"""An event: {"estimator", "encoding", "score", "readouts", "seconds", "failure", "done", "total"}."""

_PAGE = 500


def run_fidelity_report(lease: Lease, backend: Backend, _state_folder: Path) -> JsonObject:
    """Make the report; what an earlier worker has scored is read from the events and not scored again.

    Returns the report. Raises JobInterrupted, after the evaluation in hand, when the job is to be let go.
    """
    store, job = backend.store, lease.job
    request = FidelityReportRequest.model_validate(job.request)
    checkpoint = load_checkpoint(backend.artifacts, request.checkpoint_id)
    known = lease.insist(lambda: dict(_scored_before(store, job.id)))
    lease.progress_done = len(known)

    def on_candidate(progress: FidelityProgress) -> None:
        event = {
            "estimator": progress.estimator,
            "encoding": progress.entry.architecture.encoding,
            **asdict(progress.outcome),
            "score": defined(progress.outcome.score),
            "done": progress.done,
            "total": progress.total,
        }
        lease.progress_done = progress.done
        lease.append_event(SCORED, event)
        lease.raise_if_stopped()

    space = get_search_space(request.search_space.name, **request.search_space.options)
    report = make_fidelity_report(
        request.spec,
        estimator_data(checkpoint.synthesize(), load_checkpoint_data(checkpoint, backend.settings)),
        None if request.table is None else read_table(request.table, space),
        known=known,
        on_candidate=on_candidate,
        device=own_device(),
    )
    return report.to_json()


def _scored_before(store: Store, job_id: str) -> Iterator[tuple[tuple[str, str], ScoredCandidate]]:
    after = 0
    while events := store.events_after(job_id, after, _PAGE):
        for event in events:
            if event.type == SCORED:
                data = event.data
                score = math.nan if data["score"] is None else data["score"]
                outcome = ScoredCandidate(score, data["readouts"], data["seconds"], data["failure"])
                yield (data["estimator"], data["encoding"]), outcome
        after = events[-1].id
