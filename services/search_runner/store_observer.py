"""What a search proposes and measures goes into the database as it happens, under the runner's lease."""

import structlog

from nas.candidates import CandidateResult, Proposal
from nas.ranking import reward
from services.lease import Lease
from services.objectives import first_objective
from services.search_runner.results import stored_error, stored_metrics
from services.store import Store
from services.telemetry import CandidateSpans

log = structlog.get_logger(__name__)


class StoreObserver:
    """Writes one search's candidates. The store checks the lease with every write, and refuses without it.

    A database that is away for a moment is waited for, as long as the lease lasts. Both writes may be
    repeated: the second one finds what the first one stored.
    """

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store, self._lease = store, lease
        self._spans = CandidateSpans()
        self._objective = first_objective(lease.job.request)

    def on_proposal(self, proposal: Proposal) -> None:
        """Record that a candidate is about to be evaluated; idempotent."""
        self._spans.start(proposal.number, proposal.architecture.encoding)
        self._lease.insist(
            lambda: self._store.add_candidate(
                self._lease.owner,
                self._lease.job.id,
                number=proposal.number,
                space=proposal.architecture.space,
                encoding=proposal.architecture.encoding,
                canonical_hash=proposal.canonical_hash,
                seed=proposal.seed,
                parents=proposal.parents,
            )
        )

    def on_result(self, result: CandidateResult) -> None:
        """Record a candidate's score or failure."""
        number = result.proposal.number
        score, failure = result.score, result.failure
        self._lease.insist(
            lambda: self._store.finish_candidate(
                self._lease.owner,
                self._lease.job.id,
                number,
                metrics=stored_metrics(result),
                error=stored_error(result),
                loss_curve=list(score.loss_curve) if score else None,
                reward=reward(score, self._objective) if score else None,
            )
        )
        self._spans.end(
            number, accuracy=score.accuracy if score else None, failure=failure.reason if failure else None
        )
        log.debug("candidate finished", number=number, failure=failure.reason if failure else None)

    def should_stop(self) -> bool:
        """True once the search was paused or cancelled, the lease is lost, or this process is to end."""
        return self._lease.stop_reason is not None
