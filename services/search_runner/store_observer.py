"""What a search proposes and measures goes into the database as it happens, under the runner's lease."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

import structlog

from nas.estimators.base import CandidateScore
from nas.search import CandidateResult, Proposal
from services.errors import StoreUnavailableError
from services.lease import Lease, StopReason
from services.store import JsonObject, Store

RETRY_SECONDS = 0.5

log = structlog.get_logger(__name__)
Answer = TypeVar("Answer")


class StoreObserver:
    """Writes one search's candidates. The store checks the lease with every write, and refuses without it.

    A database that is away for a moment is waited for, as long as the lease lasts: what was measured should
    not be lost to a restart of the database.
    """

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store, self._lease = store, lease

    def on_proposal(self, proposal: Proposal) -> None:
        """Record that a candidate is about to be evaluated; idempotent."""
        self._insist(
            lambda: self._store.add_candidate(
                self._lease.owner,
                self._lease.job.id,
                number=proposal.number,
                space=proposal.architecture.space,
                encoding=proposal.architecture.encoding,
                canonical_hash=proposal.canonical_hash,
                seed=proposal.seed,
            )
        )

    def on_result(self, result: CandidateResult) -> None:
        """Record a candidate's score or failure."""
        number = result.proposal.number
        score, failure = result.score, result.failure
        self._insist(
            lambda: self._store.finish_candidate(
                self._lease.owner,
                self._lease.job.id,
                number,
                metrics=_metrics(score) if score else None,
                error=asdict(failure) if failure else None,
                loss_curve=list(score.loss_curve) if score else None,
            )
        )
        log.debug("candidate finished", number=number, failure=failure.reason if failure else None)

    def should_stop(self) -> bool:
        """True once the search was paused or cancelled, the lease is lost, or this process is to end."""
        return self._lease.stop_reason is not None

    def _insist(self, write: Callable[[], Answer]) -> Answer:
        while True:
            try:
                return write()
            except StoreUnavailableError as error:
                if self._lease.stop_reason is StopReason.LEASE_LOST:
                    raise
                log.warning("waiting for the database", error=str(error))
                time.sleep(RETRY_SECONDS)


def _metrics(score: CandidateScore) -> JsonObject:
    return {
        **score.extra,
        "accuracy": score.accuracy,
        "loss": score.loss,
        "params": score.params,
        "flops": score.flops,
        "seconds": score.seconds,
    }
