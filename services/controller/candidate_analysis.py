"""What is behind one candidate: its cost, what it came from, what came from it, and what is like it."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from gtn_core import CheckpointManifest
from gtn_core.config import ACCEPTED
from nas.architecture import Architecture
from nas.choice_table import differences, tabulate
from nas.drawing import draw_svg
from nas.network_drawing import draw_network
from nas.ranking import DIRECTIONS
from nas.search_spaces import get_search_space
from nas.search_spaces.base import ImageShape
from services.controller.rankings import candidate_views
from services.controller.search_analysis import extra_metrics, space_of
from services.objectives import first_objective
from services.schemas.analysis import (
    Ancestor,
    CandidateCost,
    ChangeView,
    Lineage,
    PartView,
    Relative,
    Similar,
)
from services.store import CandidateRecord, JobRecord, Store

if TYPE_CHECKING:
    from nas.cost import Part

LONGEST_LINE = 40
MOST_CHILDREN = 20
BEST_COMPARED = 5000
OTHERS_COMPARED = 5000


def cost_view(store: Store, search: JobRecord, candidate: CandidateRecord) -> CandidateCost:
    """Parameters and FLOPs by part of the network, on images of the search's data set."""
    parts = _parts_of(store, search, candidate)
    return CandidateCost(
        params=sum(part.params for part in parts),
        flops=sum(part.flops for part in parts),
        parts=[PartView.model_validate(part, from_attributes=True) for part in parts],
    )


def network_svg(store: Store, search: JobRecord, candidate: CandidateRecord) -> str:
    """The whole network."""
    return draw_network(_parts_of(store, search, candidate), _images_of(store, search)[0])


def cells_svg(search: JobRecord, candidate: CandidateRecord) -> str | None:
    """The candidate's cells; None when its space does not draw."""
    return draw_svg(space_of(search), _architecture(candidate))


def lineage_view(store: Store, search: JobRecord, candidate: CandidateRecord) -> Lineage:
    """The line of first parents, as long as it is told, and children."""
    line = [candidate]
    while line[-1].parents and len(line) < LONGEST_LINE:
        line.append(store.get_candidate(f"{search.id}-{line[-1].parents[0]}"))
    children = store.get_candidates(
        search.id, store.children(search.id, candidate.number, limit=MOST_CHILDREN)
    )
    return Lineage(
        recorded=bool(candidate.parents or children),
        line=[
            Ancestor(
                candidate=view,
                parents=view.parents,
                changes=[] if parent is None else _changes(search, parent, record),
            )
            for view, record, parent in zip(
                candidate_views(store, line), line, [*line[1:], None], strict=True
            )
        ],
        truncated=bool(line[-1].parents),
        children=_relatives(store, search, candidate, children),
    )


def similar_view(store: Store, search: JobRecord, candidate: CandidateRecord, *, limit: int) -> Similar:
    """The candidates that differ in the fewest choices."""
    numbers, compared, total = _nearest(store, search, candidate, limit=limit)
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
        for each in differences(space_of(search), _architecture(before), _architecture(after))
    ]


def _nearest(
    store: Store, search: JobRecord, candidate: CandidateRecord, *, limit: int
) -> tuple[list[int], int, int]:
    """Numbers of the nearest candidates; how many were compared, and how many there are.

    Nearest by the number of differing choices, then by the search's first objective.
    """
    objective = first_objective(search.request)
    measured = store.measurements(search.id, extra_metrics(search))
    gains = np.nan_to_num(measured.values[objective] * DIRECTIONS[objective], nan=-np.inf)
    order = np.argsort(-gains, kind="stable")
    order = order[measured.numbers[order] != candidate.number]
    rest = order[BEST_COMPARED:]
    if len(rest) > OTHERS_COMPARED:
        rest = np.sort(np.random.default_rng(0).choice(rest, OTHERS_COMPARED, replace=False))
    compared = np.concatenate([order[:BEST_COMPARED], rest])
    numbers = measured.numbers[compared].tolist()
    encodings, space = store.encodings(search.id, numbers), space_of(search)
    own = tabulate(space, [_architecture(candidate)]).codes[0]
    table = tabulate(space, [Architecture(space.name, encodings[number]) for number in numbers])
    by_distance = np.lexsort((-gains[compared], table.distances(own)))[:limit]
    return [numbers[place] for place in by_distance], len(compared), len(order)


def _architecture(candidate: CandidateRecord) -> Architecture:
    return Architecture(candidate.space, candidate.encoding)


def _parts_of(store: Store, search: JobRecord, candidate: CandidateRecord) -> tuple[Part, ...]:
    shape, classes = _images_of(store, search)
    space = json.dumps(search.request["search_space"], sort_keys=True)
    return _parts(space, candidate.encoding, shape, classes)


def _images_of(store: Store, search: JobRecord) -> tuple[ImageShape, int]:
    manifest = CheckpointManifest.model_validate(
        store.get_checkpoint(search.request["checkpoint_id"]).manifest, context=ACCEPTED
    )
    return manifest.image_shape, manifest.num_classes


@lru_cache(256)
def _parts(space_options: str, encoding: str, shape: ImageShape, classes: int) -> tuple[Part, ...]:
    from nas.cost import network_parts  # PyTorch comes with it, which a controller need not have

    space = get_search_space(**json.loads(space_options))
    architecture = space.parse(encoding)
    return network_parts(
        lambda: space.build(architecture, image_shape=shape, num_classes=classes, seed=0), shape
    )
