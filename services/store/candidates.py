"""Candidates as their runner writes them: proposed, then finished once.

Both calls come once for every candidate, so they run statements that are built once (at the end of this
file) instead of mapped objects, on the session's connection: the same steps in a third of the time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa

from services.errors import LeaseLostError, NotFoundError
from services.lifecycle import CandidateState
from services.store.engine import TIME
from services.store.outcomes import outcome_columns
from services.store.records import CandidateRecord, EventType, JsonObject, NewCandidate, candidate_id
from services.store.repository import Repository, batched
from services.store.tables import CANDIDATES, EVENTS, JOBS, METRIC_COLUMNS

PARENT_COLUMNS = ("parent", "other_parent")


class CandidateRepository(Repository):
    """The runner's side of candidates. Records from here carry no rank: it belongs to lists."""

    def add_candidate(
        self,
        owner: str,
        search_id: str,
        number: int,
        *,
        space: str,
        encoding: str,
        canonical_hash: str,
        seed: int,
        parents: Sequence[int] = (),
    ) -> CandidateRecord:
        """Store a proposal as running. If the number is already there, that candidate is the answer.

        Raises LeaseLostError, having written nothing, when `owner` does not hold the search's lease.
        """
        proposed = NewCandidate(number, space, encoding, canonical_hash, seed, tuple(parents))
        return self.add_candidates(owner, search_id, [proposed])[0]

    def add_candidates(
        self, owner: str, search_id: str, proposed: Sequence[NewCandidate]
    ) -> list[CandidateRecord]:
        """Store proposals as running, all in one transaction. A number that is already there stays as it
        is, and its candidate is the answer in the proposal's place; of one number twice the first counts.
        Of a search that was cancelled, which its runner is about to learn, they are cancelled from the start.

        Raises LeaseLostError, having written nothing, when `owner` does not hold the search's lease.
        """
        with self._database.write() as session:
            connection = session.connection()
            job = _lock_leased(connection, search_id, owner)
            now = self._now(session, job.time)
            ended = {"state": CandidateState.CANCELLED, "finished_at": now} if job.state.terminal else {}
            candidates = _present(connection, search_id, [each.number for each in proposed])
            fresh: list[JsonObject] = []
            for each in proposed:
                if each.number not in candidates:
                    fresh.append(_proposal(search_id, each, now) | ended)
                    candidates[each.number] = candidate_record(_UNKNOWN | fresh[-1])
            if fresh:
                connection.execute(_ADD, fresh)
            return [candidates[each.number] for each in proposed]

    def finish_candidate(
        self,
        owner: str,
        search_id: str,
        number: int,
        *,
        metrics: Mapping[str, float] | None = None,
        loss_curve: Sequence[float] | None = None,
        error: JsonObject | None = None,
        reward: float | None = None,
    ) -> CandidateRecord:
        """Store the outcome of a running candidate: metrics if it succeeded, an error if it failed.

        It is ranked by its reward, more is better; without one, by its accuracy.
        In one transaction the candidate ends, the search's progress grows and an event is written. A
        second call changes nothing and answers what the first one stored. Raises LeaseLostError, having
        written nothing, when `owner` does not hold the search's lease; NotFoundError; InvalidValueError
        for metrics that are missing or not finite.
        """
        ending = outcome_columns(metrics, loss_curve, error, reward)
        key = _key(search_id, number)
        with self._database.write() as session:
            connection = session.connection()
            job = _lock_leased(connection, search_id, owner)
            present = connection.execute(_FIND, key).one_or_none()
            if present is None:
                raise NotFoundError("candidate", candidate_id(search_id, number))
            if present.state is not CandidateState.RUNNING:
                return candidate_record(present._mapping)
            done = job.progress_done + 1
            ending |= {"finished_at": self._now(session, job.time), "completion": done}
            candidate = candidate_record({**present._mapping, **ending})
            connection.execute(_FINISH, key | ending)
            # Progress clears the count of runners that died without getting anywhere.
            connection.execute(_ADVANCE, {"id_": search_id, "progress_done": done, "attempts": 1})
            connection.execute(_RECORD_EVENT, _event(candidate, done, job.progress_total))
            return candidate

    def history(self, search_id: str) -> list[CandidateRecord]:
        """The succeeded and failed candidates in the order in which they finished, to replay a search."""
        ended = [CandidateState.SUCCEEDED, CandidateState.FAILED]
        columns = CANDIDATES.columns
        finished = _of_search(search_id).where(columns.state.in_(ended)).order_by(columns.completion)
        with self._database.read() as session:
            return [candidate_record(row._mapping) for row in session.execute(finished)]

    def in_flight(self, search_id: str) -> list[CandidateRecord]:
        """The running candidates by number; after a crash, those to be evaluated again."""
        columns = CANDIDATES.columns
        running = _of_search(search_id).where(columns.state == CandidateState.RUNNING)
        with self._database.read() as session:
            rows = session.execute(running.order_by(columns.number))
            return [candidate_record(row._mapping) for row in rows]


def _lock_leased(connection: sa.Connection, search_id: str, owner: str) -> sa.Row[Any]:
    """The search's progress and the time, locked until the end. Raises LeaseLostError."""
    job = connection.execute(_LOCK_JOB, {"id_": search_id}).one_or_none()
    if job is None or job.lease_owner != owner:
        raise LeaseLostError(search_id, owner, job.lease_owner if job else None)
    return job


def _present(connection: sa.Connection, search_id: str, numbers: Sequence[int]) -> dict[int, CandidateRecord]:
    """Those of the numbers that the search has already."""
    rows: list[sa.Row[Any]] = []
    if len(numbers) == 1:
        rows += connection.execute(_FIND, _key(search_id, numbers[0]))
    else:
        for part in batched(numbers):
            rows += connection.execute(_of_search(search_id).where(CANDIDATES.columns.number.in_(part)))
    return {row.number: candidate_record(row._mapping) for row in rows}


def _proposal(search_id: str, proposed: NewCandidate, now: datetime) -> JsonObject:
    return {
        "search_id": search_id,
        "number": proposed.number,
        "state": CandidateState.RUNNING,
        "space": proposed.space,
        "encoding": proposed.encoding,
        "canonical_hash": proposed.canonical_hash,
        "seed": proposed.seed,
        "created_at": now,
        **dict(zip_longest(PARENT_COLUMNS, proposed.parents[: len(PARENT_COLUMNS)])),
    }


def _key(search_id: str, number: int) -> JsonObject:
    return {"search_id_": search_id, "number_": number}


def _event(candidate: CandidateRecord, done: int, total: int) -> JsonObject:
    data = {
        "id": candidate.id,
        "number": candidate.number,
        "state": candidate.state,
        "encoding": candidate.encoding,
        "metrics": candidate.metrics,
        "error": candidate.error,
        "done": done,
        "total": total,
    }
    return {
        "job_id": candidate.search_id,
        "type": EventType.CANDIDATE,
        "data": data,
        "created_at": candidate.finished_at,
    }


def _of_search(search_id: str) -> sa.Select[Any]:
    return sa.select(CANDIDATES).where(CANDIDATES.columns.search_id == search_id)


def candidate_record(row: Mapping[str, Any] | sa.RowMapping) -> CandidateRecord:
    """A row of the table, with or without a rank beside it, as a record."""
    metrics = {name: row[name] for name in METRIC_COLUMNS} | (row["extra_metrics"] or {})
    return CandidateRecord(
        id=candidate_id(row["search_id"], row["number"]),
        search_id=row["search_id"],
        number=row["number"],
        rank=row.get("rank"),
        state=row["state"],
        space=row["space"],
        encoding=row["encoding"],
        canonical_hash=row["canonical_hash"],
        seed=row["seed"],
        metrics=metrics if row["state"] is CandidateState.SUCCEEDED else None,
        loss_curve=row["loss_curve"],
        error=row["error"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        parents=tuple(row[name] for name in PARENT_COLUMNS if row[name] is not None),
    )


_THIS_JOB = JOBS.columns.id == sa.bindparam("id_")
_THIS_CANDIDATE = sa.and_(
    CANDIDATES.columns.search_id == sa.bindparam("search_id_"),
    CANDIDATES.columns.number == sa.bindparam("number_"),
)
_LOCK_JOB = (
    sa.select(
        JOBS.columns.lease_owner,
        JOBS.columns.state,
        JOBS.columns.progress_done,
        JOBS.columns.progress_total,
        TIME.label("time"),  # with a round trip that is made anyway
    )
    .where(_THIS_JOB)
    .with_for_update()
)
_FIND = sa.select(CANDIDATES).where(_THIS_CANDIDATE)
_ADD = sa.insert(CANDIDATES)
_UNKNOWN: JsonObject = dict.fromkeys(CANDIDATES.columns.keys())
_FINISH = sa.update(CANDIDATES).where(_THIS_CANDIDATE)
_ADVANCE = sa.update(JOBS).where(_THIS_JOB)
_RECORD_EVENT = sa.insert(EVENTS)
