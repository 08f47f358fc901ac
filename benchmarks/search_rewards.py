"""What a search on a table of true accuracies is rewarded with: the truth itself, or an estimator's score."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from fidelity_measurements import Record

from nas.estimators.log_rank import log_rank
from nas.estimators.panel import LABEL_FREE_READOUTS
from nas.ranking import spearman
from nas.search_spaces.base import SearchSpace
from nas.true_accuracies import TrueAccuracy, draw_candidates

REFERENCE_SIZE = 48
"""Networks that the ensemble ranks others among, as many as its default."""


Measured = Mapping[tuple[str, str], Mapping[str, Any]]
"""Rows of records by (estimator, encoding)."""


class Table:
    """True accuracies by canonical hash: isomorphic cells are one network with the mean of theirs."""

    def __init__(self, space: SearchSpace, rows: Sequence[TrueAccuracy]) -> None:
        self.strings = len(rows)
        accuracies: dict[str, list[float]] = {}
        for row in rows:
            accuracies.setdefault(space.canonical_hash(row.architecture), []).append(row.accuracy)
        self.accuracies = {key: statistics.fmean(values) for key, values in accuracies.items()}
        self.optimum = max(self.accuracies.values())
        self.networks = draw_candidates(rows, space, number=len(accuracies), population="unique", seed=0)
        """One string of each, in random order: however far a record comes, it is of a random sample."""

    def report(self) -> dict[str, Any]:
        return {"strings": self.strings, "architectures": len(self.accuracies), "optimum": self.optimum}


@dataclass(frozen=True)
class Reward:
    """A number for each network, by canonical hash, more is better; one without is told as failed."""

    name: str
    values: Mapping[str, float]
    cpu_seconds: float
    """Mean of one evaluation."""

    def report(self, table: Table) -> dict[str, Any]:
        truth = [table.accuracies[key] for key in self.values]
        return {
            "networks": len(self.values),
            "cpu_seconds_per_evaluation": self.cpu_seconds,
            "spearman": spearman(list(self.values.values()), truth),
        }


def rewards(space: SearchSpace, table: Table, records: Sequence[Record]) -> Iterator[Reward]:
    """The table's own, then those of the estimators that the records have; of networks that have them all."""
    estimated = list(_estimated_rewards(space, table, records))
    networks = set(table.accuracies).intersection(*(reward.values for reward in estimated))
    for reward in (Reward("table", table.accuracies, 0.0), *estimated):
        yield replace(reward, values={key: reward.values[key] for key in reward.values if key in networks})


def _estimated_rewards(space: SearchSpace, table: Table, records: Sequence[Record]) -> Iterator[Reward]:
    measured = {key: row for record in records for key, row in record.rows.items()}
    proxies = [("zero_cost", readout) for readout in LABEL_FREE_READOUTS]
    panels = {
        "real_data, 32 steps": [("real_data_x1", "validation_loss")],
        "gtn": [("gtn", "validation_loss")],
        "gtn, 4 passes": [("gtn_4_passes", "sum_training_loss_late")],
        "ensemble": proxies,
        "ensemble with gtn": [*proxies, ("gtn", "validation_loss")],
        "ensemble with gtn, 4 passes": [*proxies, ("gtn_4_passes", "sum_training_loss_late")],
    }
    for name, panel in panels.items():
        if {label for label, _ in panel} <= {label for label, _ in measured}:
            yield _estimated(name, panel, space, table, measured)


def _estimated(
    name: str, panel: Sequence[tuple[str, str]], space: SearchSpace, table: Table, measured: Measured
) -> Reward:
    keys, matrix, seconds = [], [], []
    for network in table.networks:
        rows = {label: measured.get((label, network.architecture.encoding), {}) for label, _ in panel}
        if all("readouts" in row for row in rows.values()):
            keys.append(space.canonical_hash(network.architecture))
            matrix.append([rows[label]["readouts"][readout] for label, readout in panel])
            seconds.append(sum(row["cpu_seconds"] for row in rows.values()))
    values = np.array(matrix)
    scores = values[:, 0] if len(panel) == 1 else log_rank(values[:REFERENCE_SIZE], values)
    return Reward(name, dict(zip(keys, scores.tolist(), strict=True)), statistics.fmean(seconds))
