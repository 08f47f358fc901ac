"""What a final training must remember to go on after a kill; random numbers need no memory here."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch.optim.lr_scheduler import LRScheduler

from gtn_core.errors import CheckpointError
from gtn_core.state_files import read_state, write_state
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
    """Write the state, as `write_state` does: one of the training that is further on stays."""
    write_state(
        path,
        {
            "identity": identity,
            "network": state.network.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "schedule": state.schedule.state_dict(),
            "history": [asdict(report) for report in state.history],
        },
        is_ahead=lambda saved: len(saved["history"]) > len(state.history) and saved["identity"] == identity,
    )


def restore_state(state: FinalTrainingState, identity: dict[str, str], path: Path) -> None:
    """Bring an initial state to where the file left off; no file, and it stays as it is.

    `identity` names all that decides the course of the training. Raises CheckpointError when the file is
    corrupt, or of a training with another identity.
    """
    if not path.exists():
        return
    try:
        saved = read_state(path)
        if saved["identity"] == identity:
            state.network.load_state_dict(saved["network"])
            state.optimizer.load_state_dict(saved["optimizer"])
            state.schedule.load_state_dict(saved["schedule"])
            state.history = [EpochReport(**report) for report in saved["history"]]
            return
    except torch.OutOfMemoryError:  # of the device, and no fault of the file
        raise
    except Exception as error:  # torch.load raises whatever the broken bytes lead it to
        raise CheckpointError(
            f"cannot resume from {path}: it is not a whole state of a training; delete it to start again"
        ) from error
    raise CheckpointError(
        f"{path} belongs to another final training ({saved['identity']} there, {identity} here); "
        "delete it or use another path"
    )
