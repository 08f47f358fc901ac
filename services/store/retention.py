"""What the store forgets when it is told to, and which artifacts it still needs.

Only jobs that ended before a moment and have no runner are touched, a bounded number of rows at a time.
What a search is replayed from if it is extended later stays: its candidates with their outcomes, and the
events that tell for how long it ran.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from services.lifecycle import TERMINAL_STATES, CandidateState, JobKind
from services.store.records import EventType
from services.store.repository import Repository, batched, rows_changed
from services.store.tables import CANDIDATES, CHECKPOINTS, EVENTS, IDEMPOTENT_REQUESTS, IDENTITY, JOBS

KEPT_EVENTS = [EventType.STATE, EventType.EXTENDED, EventType.SUSPENDED]


class RetentionRepository(Repository):
    """For `services.dispatch.housekeeping`."""

    def database_id(self) -> str:
        """What tells this database from every other."""
        with self._database.read() as session:
            identity: str = session.execute(sa.select(IDENTITY.columns.id)).scalar_one()
            return identity

    def artifacts_in_use(self) -> set[str]:
        """The ids of all checkpoints, and of all artifacts that a job names in its request or its result.

        Not of a checkpoint that was deleted while the training that made it stays, nor of weights whose
        candidate was deleted with its search: nobody can ask for them.
        """
        columns = JOBS.columns
        with self._database.read() as session:
            ids = set(session.scalars(sa.select(CHECKPOINTS.columns.id)))
            searches = set(session.scalars(sa.select(columns.id).where(columns.kind == JobKind.SEARCH)))
            jobs = session.execute(
                sa.select(columns.kind, columns.subject_id, columns.request, columns.result)
            )
            for kind, subject_id, request, result in jobs.yield_per(1000):
                if kind is JobKind.META_TRAINING:
                    result = {**(result or {}), "checkpoint_id": None}
                if kind is not JobKind.FINAL_TRAINING or (subject_id or "").rpartition("-")[0] in searches:
                    ids.update(_SHA256.findall(json.dumps([request, result])))
        return ids

    def unknown_jobs(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids that no job has, or none any more."""
        known: set[str] = set()
        with self._database.read() as session:
            for part in batched(ids):
                known.update(session.scalars(sa.select(JOBS.columns.id).where(JOBS.columns.id.in_(part))))
        return [each for each in ids if each not in known]

    def drop_events(self, ended_before: datetime, limit: int) -> int:
        """Delete at most `limit` events of jobs that ended before; answers how many.

        Changes of state, extensions and suspensions stay: from them a follower of an old job still learns how
        it ended, and a search that is extended for how long it ran.
        """
        events = EVENTS.columns
        old = (
            sa.select(events.id)
            .where(events.job_id.in_(_ended(ended_before)), events.type.not_in(KEPT_EVENTS))
            .limit(limit)
        )
        with self._database.write() as session:
            ids = session.scalars(old).all()
            for part in batched(ids):
                session.execute(sa.delete(EVENTS).where(events.id.in_(part)))
            return len(ids)

    def drop_failure_details(self, ended_before: datetime, limit: int) -> int:
        """Shorten at most `limit` failed candidates of jobs that ended before; answers how many.

        The reason stays and so does the candidate; the details and the loss curve go.
        """
        columns = CANDIDATES.columns
        detail = columns.error["detail"].as_string()
        wordy = (
            sa.select(columns.search_id, columns.number, columns.error)
            .where(
                columns.state == CandidateState.FAILED,
                columns.accuracy.is_(None),
                columns.search_id.in_(_ended(ended_before)),
                sa.or_(columns.loss_curve.is_not(None), detail != ""),
            )
            .limit(limit)
        )
        with self._database.write() as session:
            rows = session.execute(wordy).all()
            if rows:
                session.execute(_SHORTEN, [_without_details(*row) for row in rows])
            return len(rows)

    def drop_answers(self, given_before: datetime, limit: int) -> int:
        """Delete at most `limit` answers to idempotent requests that were given before; answers how many."""
        columns = IDEMPOTENT_REQUESTS.columns
        old = sa.select(columns.key, columns.method_path).where(columns.created_at < given_before)
        these = sa.tuple_(columns.key, columns.method_path).in_(old.limit(limit))
        with self._database.write() as session:
            return rows_changed(session, sa.delete(IDEMPOTENT_REQUESTS).where(these))


def _ended(before: datetime) -> sa.Select[tuple[str]]:
    jobs = JOBS.columns
    return sa.select(jobs.id).where(
        jobs.state.in_(TERMINAL_STATES), jobs.lease_owner.is_(None), jobs.finished_at < before
    )


def _without_details(search_id: str, number: int, error: dict[str, object] | None) -> dict[str, object]:
    kept = {name: value for name, value in (error or {}).items() if name != "detail"}
    return {"search_id_": search_id, "number_": number, "error": kept, "loss_curve": None}


_SHA256 = re.compile(r'(?<=")[0-9a-f]{64}(?=")')
_SHORTEN = sa.update(CANDIDATES).where(
    CANDIDATES.columns.search_id == sa.bindparam("search_id_"),
    CANDIDATES.columns.number == sa.bindparam("number_"),
)
