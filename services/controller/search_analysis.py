"""What a search has found, as plots and statistics show it; bounded, however many candidates there are."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nas.architecture import Architecture
from nas.choice_table import ChoiceTable, tabulate
from nas.importance import choice_importance
from nas.ranking import DIRECTIONS, pareto_front
from nas.search_spaces import get_search_space
from nas.search_spaces.base import SearchSpace
from nas.thinning import improvements, spread
from services.objectives import first_objective
from services.schemas.analysis import (
    ChoiceColumns,
    ChoiceImportanceView,
    Importance,
    Metric,
    PointCloud,
    Trajectory,
)
from services.store import METRIC_COLUMNS, JobRecord, Measurements, Store, utc_now

MOST_STEPS = 2000
"""Of a best-so-far curve."""

MOST_READ = 10_000
"""Architectures that are read for a statistic: of more a random sample."""


def trajectory(store: Store, search: JobRecord) -> Trajectory:
    """The best value so far of the search's first objective."""
    objective = first_objective(search.request)
    measured = store.measurements(search.id, extra_metrics(search))
    values = measured.values[objective]
    places = improvements(values * DIRECTIONS[objective], limit=MOST_STEPS)
    numbers = measured.numbers[places].tolist()
    times = store.finish_times(search.id, numbers)
    began = search.started_at or search.created_at
    ended = search.finished_at or utc_now()
    return Trajectory(
        objective=objective,
        direction=_direction(objective),
        done=max(measured.done, 0),
        elapsed=max(0.0, (ended - began).total_seconds()),
        completion=measured.completions[places].tolist(),
        seconds=[max(0.0, (times[each] - began).total_seconds()) for each in numbers],
        number=numbers,
        value=values[places].tolist(),
    )


def point_cloud(store: Store, search: JobRecord, x: Metric, y: Metric, *, limit: int) -> PointCloud:
    """About `limit` points that look like all; the front over x and y and the best are always among them."""
    objective, extra = first_objective(search.request), extra_metrics(search)
    measured = store.measurements(search.id, _with(extra, x, y))
    there = np.flatnonzero(~np.isnan(measured.values[x]) & ~np.isnan(measured.values[y]))
    columns = {name: values[there] for name, values in measured.values.items()}
    front = np.array(
        pareto_front(np.stack([columns[x], columns[y]], axis=1), [DIRECTIONS[x], DIRECTIONS[y]])
        if len(there)
        else [],
        dtype=np.intp,
    )
    best = _best(columns[objective] * DIRECTIONS[objective])
    numbers = measured.numbers[there]
    shown = spread(columns[x], columns[y], limit=limit, keep=np.append(front, best))
    return PointCloud(
        total=len(there),
        x=x,
        y=y,
        number=numbers[shown].tolist(),
        columns={name: _plain(values[shown]) for name, values in columns.items()},
        pareto=numbers[front].tolist(),
        best=int(numbers[best[0]]) if len(best) else None,
    )


def importance(store: Store, search: JobRecord, metric: Metric) -> Importance:
    """Which options go with good values of `metric`, among all candidates or a random sample of them."""
    measured = store.measurements(search.id, _with(extra_metrics(search), metric))
    there = np.flatnonzero(~np.isnan(measured.values[metric]))
    looked_at = _sample(there, MOST_READ)
    table = _table(store, search, measured, looked_at)
    return Importance(
        metric=metric,
        direction=_direction(metric),
        candidates=len(looked_at),
        total=len(there),
        choices=[
            ChoiceImportanceView.model_validate(each, from_attributes=True)
            for each in choice_importance(table, measured.values[metric][looked_at])
        ],
    )


def choice_columns(store: Store, search: JobRecord, metric: Metric, *, limit: int) -> ChoiceColumns:
    """The choices of the best candidates, and of as many others drawn at random; `limit` in all."""
    measured = store.measurements(search.id, _with(extra_metrics(search), metric))
    values = measured.values[metric]
    there = np.flatnonzero(~np.isnan(values))
    by_value = there[np.argsort(-values[there] * DIRECTIONS[metric], kind="stable")]
    best = by_value[: (limit + 1) // 2]
    shown = np.concatenate([best, _sample(by_value[len(best) :], limit - len(best))])
    table = _table(store, search, measured, shown)
    return ChoiceColumns(
        metric=metric,
        total=len(there),
        choices={name: list(options) for name, options in table.domains.items()},
        number=measured.numbers[shown].tolist(),
        value=values[shown].tolist(),
        codes=table.codes.tolist(),
    )


def extra_metrics(search: JobRecord) -> tuple[str, ...]:
    """What the search measures beyond the metrics that all candidates have."""
    named = list(search.request.get("objectives", ()))
    if (search.request.get("constraints") or {}).get("max_latency_ms") is not None:
        named.append("latency_ms")
    return tuple(dict.fromkeys(name for name in named if name not in METRIC_COLUMNS))


def space_of(search: JobRecord) -> SearchSpace:
    """The search's space, with its options."""
    return get_search_space(**search.request["search_space"])


def _with(extra: Sequence[str], *metrics: Metric) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*extra, *(name for name in metrics if name not in METRIC_COLUMNS)]))


def _direction(metric: Metric) -> Literal["max", "min"]:
    return "max" if DIRECTIONS[metric] > 0 else "min"


def _best(gains: NDArray[np.float64]) -> NDArray[np.intp]:
    """The place of the best, if there is one."""
    known = np.where(np.isnan(gains), -np.inf, gains)
    return np.array([int(np.argmax(known))] if len(known) else [], dtype=np.intp)


def _sample(places: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """All places, or `size` of them: for the same places the same."""
    if len(places) <= size:
        return places
    return np.sort(np.random.default_rng(0).choice(places, size, replace=False))


def _table(store: Store, search: JobRecord, measured: Measurements, places: NDArray[np.intp]) -> ChoiceTable:
    space, numbers = space_of(search), measured.numbers[places].tolist()
    encodings = store.encodings(search.id, numbers)
    return tabulate(space, [Architecture(space.name, encodings[number]) for number in numbers])


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]
