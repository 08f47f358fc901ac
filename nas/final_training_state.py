"""What a final training must remember to go on after a kill; random numbers need no memory here."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from pydantic import BaseModel
from torch.optim.lr_scheduler import LRScheduler

from gtn_core.errors import CheckpointError
from gtn_core.state_files import differences, read_state, write_state
from nas.architecture import Architecture
from nas.final_training_config import FinalTrainingConfig
from nas.regularization import RegularizedNetwork
from nas.search_spaces.base import SearchSpace


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


@dataclass(frozen=True, slots=True)
class TrainingIdentity:
    """All that decides the course of a training."""

    space: SearchSpace
    architecture: Architecture
    config: FinalTrainingConfig
    seed: int
    dataset_fingerprint: str
    earlier_fingerprint: str | None = None  # of the data set: states of the first versions have it

    def describe(self) -> dict[str, str]:
        """One line per part, to compare and to name what differs."""
        options = {
            f"{part}.{name}": repr(value)
            for part, options in self._options().items()
            for name, value in options
        }
        return options | {
            "space": self.space.name,
            "architecture": self.architecture.encoding,
            "seed": str(self.seed),
            "dataset fingerprint": self.dataset_fingerprint,
        }

    def with_later_fields(self, saved: dict[str, str]) -> dict[str, str]:
        """A saved identity and the options that came after it: by default a new one changes nothing."""
        if "config" in saved:
            saved = self._field_by_field(saved)
        if saved["dataset fingerprint"] == self.earlier_fingerprint:
            saved = saved | {"dataset fingerprint": self.dataset_fingerprint}
        return saved | {
            f"{part}.{name}": repr(field.get_default(call_default_factory=True, validated_data={}))
            for part, options in self._options().items()
            for name, field in type(options).model_fields.items()
            if f"{part}.{name}" not in saved
        }

    def _field_by_field(self, saved: dict[str, str]) -> dict[str, str]:
        """An identity as it was written at first, each set of options in one text."""
        config = FinalTrainingConfig.model_validate_json(saved["config"])
        parts = {name: text for name, text in saved.items() if name != "config"}
        parts |= {f"config.{name}": repr(value) for name, value in config}
        if saved["space"] == repr((self.space.name, self.space.config)):
            parts |= {f"space.{name}": repr(value) for name, value in self.space.config}
            parts["space"] = self.space.name
        return parts

    def _options(self) -> dict[str, BaseModel]:
        return {"space": self.space.config, "config": self.config}


@dataclass
class FinalTrainingState:
    """The network, its optimizer and schedule, and the epochs behind them."""

    network: RegularizedNetwork
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    history: list[EpochReport] = field(default_factory=list)


def save_state(state: FinalTrainingState, identity: TrainingIdentity, path: Path) -> None:
    """Write the state, as `write_state` does: one of the training that is further on stays."""
    ours = identity.describe()
    write_state(
        path,
        {
            "identity": ours,
            "network": state.network.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "schedule": state.schedule.state_dict(),
            "history": [asdict(report) for report in state.history],
        },
        is_ahead=lambda saved: (
            len(saved["history"]) > len(state.history)
            and identity.with_later_fields(saved["identity"]) == ours
        ),
    )


def restore_state(state: FinalTrainingState, identity: TrainingIdentity, path: Path) -> None:
    """Bring an initial state to where the file left off; no file, and it stays as it is.

    Raises CheckpointError when the file is corrupt, or of a training with another identity.
    """
    if not path.exists():
        return
    try:
        saved = read_state(path)
        found = identity.with_later_fields(saved["identity"])
        ours = identity.describe()
        if found == ours:
            state.network.load_state_dict(saved["network"])
            state.optimizer.load_state_dict(saved["optimizer"])
            state.schedule.load_state_dict(saved["schedule"])
            state.history = [EpochReport(**report) for report in saved["history"]]
            return
    except torch.OutOfMemoryError:  # of the device, and no fault of the file
        raise
    except Exception as error:  # torch.load raises whatever the broken bytes lead it to
        raise CheckpointError(
            f"cannot resume from {path}: it is not a whole state of a training",
            remedy="delete it to start again",
        ) from error
    raise CheckpointError(
        f"{path} belongs to another final training ({differences(found, ours)})",
        remedy="delete it or use another path",
    )
