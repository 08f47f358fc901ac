"""What a final training must remember to go on after a kill; random numbers need no memory here."""

import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from gtn_core.errors import CheckpointError
from gtn_core.files import write_atomically
from nas.regularization import RegularizedNetwork


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What one epoch of final training reached."""

    epoch: int  # from 1
    epochs: int
    learning_rate: float  # of the epoch's first step
    train_loss: float  # mean over the epoch's augmented batches, nats
    validation_loss: float
    validation_accuracy: float  # in [0, 1]
    seconds: float


@dataclass
class FinalTrainingState:
    """The network, its optimizer and schedule, and the epochs behind them."""

    network: RegularizedNetwork
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    history: list[EpochReport] = field(default_factory=list)


def save_state(state: FinalTrainingState, identity: dict[str, str], path: Path) -> None:
    """Write the state; after a crash the file holds this state or the one before.

    A state of the training that is further on stays: whoever wrote it took over from a process that was
    suspended, which is this one.
    """
    if _saved_epochs(identity, path) > len(state.history):
        return
    buffer = io.BytesIO()
    torch.save(
        {
            "identity": identity,
            "network": state.network.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "schedule": state.schedule.state_dict(),
            "history": [asdict(report) for report in state.history],
        },
        buffer,
    )
    write_atomically(path, buffer.getvalue())


def restore_state(state: FinalTrainingState, identity: dict[str, str], path: Path) -> None:
    """Bring an initial state to where the file left off; no file, and it stays as it is.

    `identity` names all that decides the course of the training. Raises CheckpointError when the file is
    corrupt, or of a training with another identity.
    """
    if not path.exists():
        return
    try:
        saved = _load(path)
        if saved["identity"] == identity:
            state.network.load_state_dict(saved["network"])
            state.optimizer.load_state_dict(saved["optimizer"])
            state.schedule.load_state_dict(saved["schedule"])
            state.history = [EpochReport(**report) for report in saved["history"]]
            return
    except Exception as error:  # torch.load raises whatever the broken bytes lead it to
        raise CheckpointError(
            f"cannot resume from {path}: it is not a whole state of a training; delete it to start again"
        ) from error
    raise CheckpointError(
        f"{path} belongs to another final training ({saved['identity']} there, {identity} here); "
        "delete it or use another path"
    )


def _saved_epochs(identity: dict[str, str], path: Path) -> int:
    """How many epochs the training's state in the file has behind it; 0 if it holds none."""
    try:
        saved = _load(path)
        return len(saved["history"]) if saved["identity"] == identity else 0
    except Exception:  # no file, or whatever broken bytes lead torch.load to
        return 0


def _load(path: Path) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return saved
