"""One candidate among others: where its cost is, what it came from, what came from it, what is like it."""

from services.candidate_analysis import MOST_CHILDREN, ancestors, changes, cost_parts, nearest
from services.controller.rankings import candidate_views
from services.schemas.analysis import (
    Ancestor,
    CandidateCost,
    ChangeView,
    Lineage,
    PartView,
    Relative,
    Similar,
)
from services.search_analysis import space_of
from services.store import CandidateRecord, JobRecord, Store


def cost_view(store: Store, search: JobRecord, candidate: CandidateRecord) -> CandidateCost:
    """Parameters and FLOPs by part."""
    parts = cost_parts(store, search, candidate)
    return CandidateCost(
        params=sum(part.params for part in parts),
        flops=sum(part.flops for part in parts),
        parts=[PartView.model_validate(part, from_attributes=True) for part in parts],
    )


def lineage_view(store: Store, search: JobRecord, candidate: CandidateRecord) -> Lineage:
    """The line of first parents, and children."""
    line, truncated = ancestors(store, candidate)
    made = store.children(search.id, candidate.number, limit=MOST_CHILDREN)
    children = store.get_candidates(search.id, made)
    views = candidate_views(store, line)
    before = [*line[1:], None]
    return Lineage(
        recorded=bool(candidate.parents or children),
        line=[
            Ancestor(
                candidate=view,
                parents=view.parents,
                changes=[] if parent is None else _changes(search, parent, record),
            )
            for view, record, parent in zip(views, line, before, strict=True)
        ],
        truncated=truncated,
        children=_relatives(store, search, candidate, children),
    )


def similar_view(store: Store, search: JobRecord, candidate: CandidateRecord, *, limit: int) -> Similar:
    """The candidates that differ in the fewest choices."""
    numbers, compared, total = nearest(store, search, candidate, limit=limit)
    records = store.get_candidates(search.id, numbers)
    return Similar(compared=compared, total=total, similar=_relatives(store, search, candidate, records))


def _relatives(
    store: Store, search: JobRecord, candidate: CandidateRecord, others: list[CandidateRecord]
) -> list[Relative]:
    return [
        Relative(candidate=view, changes=_changes(search, candidate, record))
        for view, record in zip(candidate_views(store, others), others, strict=True)
    ]


def _changes(search: JobRecord, before: CandidateRecord, after: CandidateRecord) -> list[ChangeView]:
    return [
        ChangeView.model_validate(each, from_attributes=True)
        for each in changes(space_of(search), before, after)
    ]
