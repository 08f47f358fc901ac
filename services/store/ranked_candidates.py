"""Candidates as readers see them: ranked, filtered, in pages, and the Pareto front."""

import operator
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.errors import InvalidValueError, NotFoundError
from services.lifecycle import CandidateState, JobKind
from services.objectives import scoring_conditions
from services.store.access_paths import AccessPath, access_path
from services.store.bounds import Bound
from services.store.candidates import candidate_record
from services.store.engine import Database
from services.store.fronts import Fronts
from services.store.hidden_columns import Hidden
from services.store.json_values import storable_text
from services.store.pagination import Order, read_page
from services.store.ranks import Ranks
from services.store.records import CandidateFilter, CandidateRecord, Page, candidate_id
from services.store.repository import IS_GONE, LEFT_OVER, Repository, batched
from services.store.tables import CANDIDATES, JOBS, MAX_INTEGER, METRIC_COLUMNS, metric_column

ORDER_COLUMNS = (*METRIC_COLUMNS, "number", "created_at")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_COLUMNS = CANDIDATES.columns

FEW_OF_A_SEARCH, FEW_OF_ALL = 2_000, 7_000
"""Matches that are rather sorted: the roots of a page times 100,000 and 1,000,000 candidates."""


class RankedCandidateRepository(Repository):
    """The readers' side of candidates."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._ranks, self._fronts = Ranks(), Fronts()

    def get_candidate(self, candidate_id: str) -> CandidateRecord:
        """One candidate with its rank. Raises NotFoundError."""
        search_id, _, number = candidate_id.rpartition("-")
        if not _NUMBER.fullmatch(number) or not storable_text(search_id):
            raise NotFoundError("candidate", candidate_id)
        wanted = sa.select(CANDIDATES).where(
            _THERE, _COLUMNS.search_id == search_id, _COLUMNS.number == int(number)
        )
        with self._database.read() as session:
            records = self._ranked(session, session.execute(wanted).all())
        if not records:
            raise NotFoundError("candidate", candidate_id)
        return records[0]

    def get_candidates(self, search_id: str, numbers: Sequence[int]) -> list[CandidateRecord]:
        """Those of the candidates of a search that there are, in this order, ranked, without loss curves."""
        found: dict[int, CandidateRecord] = {}
        with self._database.read() as session:
            for part in batched(numbers):
                wanted = _LISTED.where(_THERE, _COLUMNS.search_id == search_id, _COLUMNS.number.in_(part))
                ranked = self._ranked(session, session.execute(wanted).all())
                found |= {record.number: record for record in ranked}
        return [found[number] for number in numbers if number in found]

    def list_candidates(
        self,
        only: CandidateFilter = CandidateFilter(),  # noqa: B008 - frozen
        *,
        order_by: str = "-accuracy",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[CandidateRecord]:
        """A page of candidates without their loss curves, each with its rank in its whole search.

        `order_by` is one of ORDER_COLUMNS or, within a search, `rank`, with a minus for descending;
        candidates without the metric come last either way, and ties are in a fixed order.
        Raises InvalidCursorError, and InvalidValueError for an unknown order or a limit out of bounds.
        """
        order = candidate_order(order_by, within_search=only.search_id is not None)
        with self._database.read() as session:
            if only.search_space is not None and not _exists(session, only.search_space):
                return Page([], None)
            path = filtered(session, only, order)
            rows, next_cursor = read_page(
                session,
                path.statement,
                path.order,
                limit=limit,
                cursor=cursor,
                valued=_valued(only, order),
                read=path.read,
            )
            return Page(self._ranked(session, rows), next_cursor)

    def earlier_scores(self, search_id: str) -> dict[str, str]:
        """Succeeded candidates of other searches that score as this one does, ids by canonical hash.

        Raises NotFoundError.
        """
        jobs = JOBS.columns
        with self._database.read() as session:
            own = session.execute(
                sa.select(jobs.subject_id, jobs.request).where(jobs.id == search_id, ~IS_GONE)
            ).first()
            if own is None:
                raise NotFoundError("search", search_id)
            others = sa.select(jobs.id, jobs.request).where(
                jobs.subject_id == own.subject_id, jobs.kind == JobKind.SEARCH, jobs.id != search_id
            )
            alike = [
                other.id
                for other in session.execute(others.order_by(jobs.created_at, jobs.id))
                if scoring_conditions(other.request) == scoring_conditions(own.request)
            ]
            found: dict[str, str] = {}
            scored = sa.select(_COLUMNS.number, _COLUMNS.canonical_hash)
            for other_id in alike:
                rows = scored.where(
                    _COLUMNS.search_id == other_id, _COLUMNS.state == CandidateState.SUCCEEDED
                )
                for row in session.execute(rows):
                    found.setdefault(row.canonical_hash, candidate_id(other_id, row.number))
            return found

    def pareto(self, search_id: str, objectives: Sequence[str]) -> list[CandidateRecord]:
        """The succeeded candidates of a search that no other dominates, best rank first.

        Candidates without one of the objectives have no place on the front.
        Raises InvalidValueError for an unknown objective.
        """
        with self._database.read() as session:
            numbers = self._fronts.of(session, search_id, objectives)
            # Found by number: SQLite would rather go through all that succeeded, by an index of theirs.
            succeeded = _THERE, _COLUMNS.search_id == search_id, Hidden(_COLUMNS.accuracy).is_not(None)
            records: list[CandidateRecord] = []
            for part in batched(numbers):
                rows = session.execute(_LISTED.where(*succeeded, _COLUMNS.number.in_(part))).all()
                records += self._ranked(session, rows)
        return sorted(records, key=lambda record: record.rank or 0)

    def _ranked(self, session: Session, rows: Sequence[sa.Row[Any]]) -> list[CandidateRecord]:
        ranks = self._ranks.of(session, rows)
        return [
            candidate_record({**_LEFT_OUT, **row._mapping, "rank": rank})
            for row, rank in zip(rows, ranks, strict=True)
        ]


def candidate_order(order_by: str, *, within_search: bool) -> Order:
    """The order called `order_by`: an index of the table read forwards, or backwards from its end."""
    name, descending = order_by.removeprefix("-"), order_by.startswith("-")
    if name == "rank" and within_search:
        return Order(
            name=order_by,
            column=_COLUMNS.reward,
            ties=(_COLUMNS.number,),
            descending=not descending,
            ties_descending=descending,
            # No `absent`: a runner that outlives an upgrade for a moment stores accuracies without a reward.
        )
    if name not in ORDER_COLUMNS:
        known = ", ".join((*ORDER_COLUMNS, *(["rank"] if within_search else [])))
        raise InvalidValueError(f"order_by is {order_by!r}; known: {known}, each also with a minus before it")
    unique = ("number",) if within_search else ("search_id", "number")
    return Order(
        name=order_by if within_search else f"{order_by} across searches",
        column=_COLUMNS[name],
        ties=tuple(_COLUMNS[each] for each in unique if each != name),
        descending=descending,
        # Best first, equal ones by number, is how candidates are ranked.
        ties_descending=not descending if name == "accuracy" else descending,
        absent=_COLUMNS.accuracy.is_(None),  # which all metrics have in common, and an index knows
        led_by=(_COLUMNS.space,) if name == "accuracy" and not within_search else (),
    )


def _exists(session: Session, space: str) -> bool:
    """Whether there is any candidate of the space: without one, a list would be read to its end in vain."""
    any_of_it = sa.select(_COLUMNS.number).where(_COLUMNS.space == space).limit(1)
    return session.execute(any_of_it).first() is not None


def filtered(session: Session, only: CandidateFilter, order: Order) -> AccessPath:
    """The candidates that pass the filter, and how to read them."""
    scope, within_search = _LISTED, only.search_id is not None
    if session.scalars(LEFT_OVER.limit(1)).first() is not None:
        scope = scope.where(_THERE)  # only then: PostgreSQL would expect it to leave half of the rows
    if within_search:
        scope = scope.where(_COLUMNS.search_id == only.search_id)
    if only.state is CandidateState.SUCCEEDED and only.within:
        scope = scope.where(Hidden(_COLUMNS.accuracy).is_not(None))  # the same, and looked at in the index
    elif only.state is not None:
        scope = scope.where(_COLUMNS.state == only.state)
    if only.state in _RARE:
        scope = scope.where(_COLUMNS.accuracy.is_(None))  # what the index of the unscored asks for
        order = replace(order, sorted_afterwards=True)
    bounds, by_class = [], not within_search
    if only.search_space is not None:
        bounds.append(Bound(_COLUMNS.space, operator.eq, only.search_space))
    for asked in only.within:
        for compare, value in ((operator.ge, asked.low), (operator.le, asked.high)):
            if value is None:
                continue
            if asked.metric in METRIC_COLUMNS:
                bounds.append(Bound(_COLUMNS[asked.metric], compare, _storable(value)))
            else:
                scope = scope.where(compare(metric_column(asked.metric), value))
                by_class = False  # no index tells it
    few = FEW_OF_A_SEARCH if within_search else FEW_OF_ALL
    return access_path(session, scope, bounds, order, few=few, by_class=by_class)


def _valued(only: CandidateFilter, order: Order) -> bool | None:
    """Whether what passes the filter has a value to be ordered by; None: some of it may have one.

    Those that succeeded have all metrics, and no others have any. A reward may be missing nevertheless: see
    `candidate_order`.
    """
    if only.state is not None and only.state is not CandidateState.SUCCEEDED:
        return False
    scored = bool(only.within) or only.state is not None
    return True if scored and order.column is not _COLUMNS.reward else None


def _storable(bound: float) -> float:
    """No integer that a column can hold is between this bound and the one that was asked for."""
    return max(-MAX_INTEGER, min(bound, MAX_INTEGER)) if isinstance(bound, int) else bound


_RARE = (CandidateState.RUNNING, CandidateState.CANCELLED)
_LEFT_OUT = {"loss_curve": None}  # the largest value of a row, and no list shows it
_THERE = _COLUMNS.search_id.not_in(LEFT_OVER)
_LISTED = sa.select(*(column for column in _COLUMNS if column.key not in _LEFT_OUT))
