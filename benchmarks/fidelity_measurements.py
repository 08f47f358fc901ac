"""What `bench_fidelity` measures, kept in a file line by line: a run that is stopped goes on where it was."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from gtn_core import FrozenCheckpoint, load_dataset
from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import DatasetSplits
from nas import CandidateFailed, EstimatorData, estimator_data, get_search_space, make_estimator
from nas.estimators.readouts import gain, readout_values
from nas.estimators.real_batches import RealBatches, RealBatchesConfig
from nas.estimators.zero_cost import Proxy
from nas.true_accuracies import TrueAccuracy

VALIDATION_IMAGES = 1000


@dataclass(frozen=True)
class Measured:
    """An estimator as the benchmark knows it."""

    label: str
    name: str
    options: dict[str, Any]
    needs_checkpoint: bool


def estimators(steps: int, rate: float) -> list[Measured]:
    """All that are compared: brief trainings of one curriculum and of four times its steps, and proxies."""
    brief = {"validation_limit": VALIDATION_IMAGES}
    real = {**brief, "learning_rate": rate}
    full = {"channels": 16, "cells_per_stage": 5}
    return [
        Measured("zero_cost", "zero_cost", {"proxies": PROXIES}, False),
        Measured("zero_cost_full", "zero_cost", {"proxies": PROXIES, "network": full}, False),
        Measured("real_data_x1", "real_data", {**real, "steps": steps}, False),
        Measured("real_data_x4", "real_data", {**real, "steps": 4 * steps}, False),
        Measured("gtn", "gtn", brief, True),
        Measured("gtn_4_passes", "gtn", {**brief, "passes": 4}, True),
        Measured("gtn_then_real", "gtn_then_real", {**real, "steps": 3 * steps}, True),
    ]


PROXIES: tuple[Proxy, ...] = get_args(Proxy)


@dataclass
class Record:
    """Evaluations by (estimator, encoding), appended to a file as they are made."""

    path: Path

    def __post_init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.notes: dict[str, Any] = {}
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                self._take(json.loads(line))

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row, in memory and in the file."""
        self._take(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def _take(self, row: dict[str, Any]) -> None:
        if "note" in row:
            self.notes[row["note"]] = row["value"]
        else:
            self.rows[row["estimator"], row["architecture"]] = row


@dataclass(frozen=True)
class Setting:
    """The data, the space and the checkpoint; without a checkpoint its estimators are left out."""

    splits: DatasetSplits
    checkpoint: FrozenCheckpoint | None
    steps: int
    batch_size: int

    def data(self) -> EstimatorData:
        """For estimators; without a checkpoint the curriculum gives no more than its shape."""
        if self.checkpoint is not None:
            return estimator_data(self.checkpoint.synthesize(), self.splits)
        shape = self.steps, self.batch_size
        blank = SyntheticCurriculum(
            images=torch.zeros(*shape, *self.splits.image_shape),
            labels=torch.full((*shape, self.splits.num_classes), 1 / self.splits.num_classes),
            learning_rates=torch.full((self.steps,), 0.1),
            momenta=torch.full((self.steps,), 0.5),
        )
        return estimator_data(blank, self.splits)


def load_setting(dataset: str, checkpoint: Path | None, steps: int, batch_size: int) -> Setting:
    splits = load_dataset(dataset, seed=0)
    if checkpoint is None or not checkpoint.exists():
        return Setting(splits, None, steps, batch_size)
    frozen = FrozenCheckpoint.load(checkpoint)
    steps, batch_size = frozen.synthesize().labels.shape[:2]
    return Setting(splits, frozen, steps, batch_size)


def measure(
    setting: Setting,
    entries: Mapping[str, Sequence[TrueAccuracy]],
    record: Record,
    only: Sequence[str] | None = None,
) -> None:
    """Evaluate what the record lacks. `entries` are the architectures of each kind of estimator."""
    space, data = get_search_space("nasbench201", channels=8, cells_per_stage=1), setting.data()
    if "rate" not in record.notes:
        config = RealBatchesConfig(
            learning_rate=None, steps=4 * setting.steps, validation_limit=VALIDATION_IMAGES
        )
        rate = RealBatches(data, config, torch.device("cpu")).tuned_rate(space)
        record.add({"note": "rate", "value": rate})
    ready = [
        each
        for each in estimators(setting.steps, record.notes["rate"])
        if (setting.checkpoint is not None or not each.needs_checkpoint) and (not only or each.label in only)
    ]
    made = {each.label: make_estimator(each.name, data, **each.options) for each in ready}
    for estimator, entry in _in_order(ready, entries):
        if (estimator.label, entry.architecture.encoding) in record.rows:
            continue
        row: dict[str, Any] = {"estimator": estimator.label, "architecture": entry.architecture.encoding}
        started, cpu_started = time.perf_counter(), time.process_time()
        try:
            score = made[estimator.label].estimate(space, entry.architecture, seed=0)
            row["readouts"] = {name: gain(score, name) for name in readout_values(score)}
        except CandidateFailed as failed:
            row["failed"] = str(failed)
        row["seconds"] = time.perf_counter() - started
        row["cpu_seconds"] = time.process_time() - cpu_started
        record.add(row)


def _in_order(
    ready: Sequence[Measured], entries: Mapping[str, Sequence[TrueAccuracy]]
) -> Iterator[tuple[Measured, TrueAccuracy]]:
    """Proxies first, then the trainings in turn: whenever it stops, all have as many."""
    for estimator in ready:
        if estimator.name == "zero_cost":
            yield from ((estimator, entry) for entry in entries["proxies"])
    for entry in entries["trainings"]:
        yield from ((estimator, entry) for estimator in ready if estimator.name != "zero_cost")
