"""Scores that other searches measured under the same conditions: none is measured twice."""

from collections.abc import Mapping

import structlog

from nas.candidates import CandidateResult, Proposal
from services.errors import NotFoundError, StoreUnavailableError
from services.search_runner.results import stored_result
from services.store import Store

log = structlog.get_logger(__name__)

REUSED_FROM = "reused_from"
"""Under which name a candidate's metrics say whose score it has."""


class EarlierScores:
    """Finds what was stored before this search began to ask; the database is read when it first asks.

    The conditions are checkpoint, search space and estimator with all their options, the seed, and whether
    candidates were given GPUs. Nothing tells when the code of a plugin changes: where one has a part in
    scores, these are not asked. A score of a candidate that was stopped early is none.
    """

    def __init__(self, store: Store, search_id: str) -> None:
        self._store, self._search_id = store, search_id
        self._ids: Mapping[str, str] | None = None

    def __call__(self, proposal: Proposal) -> CandidateResult | None:
        """The earlier result of this architecture, marked; None to measure it."""
        try:
            if self._ids is None:
                self._ids = self._store.earlier_scores(self._search_id)
            if (earlier := self._ids.get(proposal.canonical_hash)) is None:
                return None
            record = self._store.get_candidate(earlier)
        except (
            StoreUnavailableError,
            NotFoundError,
        ) as error:  # deleted meanwhile; measuring is always right
            log.info("no earlier score", number=proposal.number, error=str(error))
            return None
        known = stored_result(record)
        if known.score is None or known.score.extra.get("depth", 1.0) != 1.0:
            return None
        origin = known.notes.get(REUSED_FROM, earlier)
        return CandidateResult(proposal, score=known.score, notes={**known.notes, REUSED_FROM: origin})
