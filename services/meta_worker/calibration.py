"""Where a meta-training takes the order of architectures from: a table, or real trainings kept here."""

import hashlib
import json
from pathlib import Path

from gtn_core import DatasetSplits, RankingReference
from gtn_core.files import write_atomically
from nas.calibration_set import (
    CALIBRATION_BATCH,
    CALIBRATION_SEED,
    draw_calibration_set,
    ranking_reference,
    train_calibration_set,
)
from nas.search_spaces import get_search_space
from nas.search_spaces.base import SearchSpace
from nas.slot import own_device
from nas.true_accuracies import TrueAccuracy
from services.lease import Lease
from services.meta_worker.accuracy_tables import read_table
from services.schemas.accuracy_tables import CalibrationSet
from services.schemas.requests import MetaTrainingRequest

CALIBRATED = "calibrated"
"""An event: {"encoding", "accuracy", "done", "total"}."""


def requested_reference(
    request: MetaTrainingRequest, splits: DatasetSplits, lease: Lease, data_dir: Path
) -> RankingReference | None:
    """The reference that the request asks for; None: it teaches no order.

    Architectures of a table are drawn by the request's own seed, those without one are the same for every
    run on that split of the data set. Raises DatasetError, or JobInterrupted between two trainings.
    """
    if not request.config.ranking_weight or request.learner_space is None:
        return None
    asked = request.calibration_set or CalibrationSet()
    space = get_search_space(request.learner_space.name, **request.learner_space.options)
    if asked.table is not None:
        table = read_table(asked.table, space)
        entries = draw_calibration_set(table, space, architectures=asked.architectures, seed=request.seed)
        return ranking_reference(space, entries, "a table of true accuracies")
    entries = _trained(asked, space, splits, lease, data_dir / "calibration-sets")
    return ranking_reference(space, entries, f"validation accuracies after {asked.steps} real steps")


def _trained(
    asked: CalibrationSet, space: SearchSpace, splits: DatasetSplits, lease: Lease, folder: Path
) -> list[TrueAccuracy]:
    """The trainings, each kept in a file as it ends; those of an earlier run or worker are read from it."""
    file = folder / f"{_digest(asked, space, splits)}.json"
    known: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}

    def keep(encoding: str, accuracy: float) -> None:
        known[encoding] = accuracy
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(known).encode())
        event = {
            "encoding": encoding,
            "accuracy": None if accuracy != accuracy else accuracy,
            "done": len(known),
            "total": asked.architectures,
        }
        lease.append_event(CALIBRATED, event)
        lease.raise_if_stopped()

    return train_calibration_set(
        space,
        splits,
        architectures=asked.architectures,
        steps=asked.steps,
        known=dict(known),
        on_trained=keep,
        device=own_device(),
    )


def _digest(asked: CalibrationSet, space: SearchSpace, splits: DatasetSplits) -> str:
    """Of what decides an accuracy; how many are asked for does not."""
    decides = [splits.fingerprint, space.name, repr(space.config), asked.steps]
    return hashlib.sha256(json.dumps([*decides, CALIBRATION_BATCH, CALIBRATION_SEED]).encode()).hexdigest()[
        :24
    ]
