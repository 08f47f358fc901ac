"""What a run of meta-training must remember to be resumed exactly; random numbers need no memory here."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch.optim.swa_utils import AveragedModel

from gtn_core.config import MetaTrainingConfig
from gtn_core.curriculum import LearnedCurriculum
from gtn_core.data import DatasetSplits
from gtn_core.errors import CheckpointError
from gtn_core.randomness import derive_seed, seeded_initialisation
from gtn_core.state_files import differences, read_state, write_state


@dataclass(frozen=True)
class RunIdentity:
    """What decides the course of a run: equal identities give equal checkpoints on one machine.

    With one number of threads, that is: sums are split among them, and so rounded.
    """

    config: MetaTrainingConfig
    seed: int
    dataset_fingerprint: str
    learner: str
    ranking_reference: str = "none"
    earlier_fingerprint: str | None = None  # of the data set: states of the first versions have it

    def describe(self) -> dict[str, str]:
        """One line per part, to compare and to name what differs."""
        config = {f"config.{name}": repr(value) for name, value in self.config}
        return config | {
            "seed": str(self.seed),
            "dataset fingerprint": self.dataset_fingerprint,
            "learner": self.learner,
            "ranking reference": self.ranking_reference,
        }


@dataclass
class MetaTrainingState:
    """The learned curriculum, its optimizer, and how far they have come."""

    curriculum: LearnedCurriculum
    optimizer: torch.optim.Adam
    step: int = 0
    running_norm: float = 0.0  # of the meta-gradient, an exponential mean; 0 before the first step
    average: AveragedModel | None = None  # of the curriculum after each meta step, where one is wanted

    @property
    def to_freeze(self) -> LearnedCurriculum:
        """The curriculum as it would be frozen now; what is optimized further may be another one."""
        if self.average is None or self.step == 0:
            return self.curriculum
        return cast(LearnedCurriculum, self.average.module)


def initial_state(
    config: MetaTrainingConfig, splits: DatasetSplits, *, seed: int, device: str | torch.device
) -> MetaTrainingState:
    """The state before the first meta step."""
    with seeded_initialisation(derive_seed(seed, "curriculum")):
        curriculum = LearnedCurriculum(
            config, image_shape=splits.image_shape, num_classes=splits.num_classes
        ).to(device)
    optimizer = torch.optim.Adam(
        curriculum.parameters(),
        lr=config.outer_learning_rate,
        betas=config.outer_betas,
        eps=config.outer_epsilon,
    )
    average = None
    if config.average_decay:
        share = 1 - config.average_decay
        average = AveragedModel(curriculum, avg_fn=lambda mean, latest, _: mean.lerp(latest, share))
    return MetaTrainingState(curriculum, optimizer, average=average)


def save_state(state: MetaTrainingState, identity: RunIdentity, path: Path) -> None:
    """Write the state, as `write_state` does: one of the run that is further on stays."""
    ours = identity.describe()
    write_state(
        path,
        {
            "identity": ours,
            "step": state.step,
            "running_norm": state.running_norm,
            "curriculum": state.curriculum.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "average": None if state.average is None else state.average.state_dict(),
        },
        is_ahead=lambda saved: saved["step"] > state.step and _as_of_now(saved["identity"], identity) == ours,
    )


def restore_state(state: MetaTrainingState, identity: RunIdentity, path: Path) -> None:
    """Bring an initial state to where the file left off.

    Raises CheckpointError when the file is corrupt or belongs to a run that differs in anything that decides
    its course.
    """
    try:
        saved = read_state(path)
        found = _as_of_now(saved["identity"], identity)
        ours = identity.describe()
        if found == ours:
            state.curriculum.load_state_dict(saved["curriculum"])
            state.optimizer.load_state_dict(saved["optimizer"])
            if state.average is not None:
                state.average.load_state_dict(saved["average"])
            state.step, state.running_norm = saved["step"], saved["running_norm"]
            return
    except torch.OutOfMemoryError:  # of the device, and no fault of the file
        raise
    except Exception as error:  # torch.load raises whatever the broken bytes lead it to
        raise CheckpointError(
            f"cannot resume from {path}: it is not a whole state of meta-training",
            remedy="delete it to start again",
        ) from error
    raise CheckpointError(
        f"{path} belongs to another run ({differences(found, ours)})",
        remedy="delete it or use another path",
    )


def _as_of_now(saved: dict[str, str], identity: RunIdentity) -> dict[str, str]:
    """A saved identity, and the parts that came after it: a new one leaves runs as they were by default."""
    fields = MetaTrainingConfig.model_fields.items()
    defaults = {f"config.{name}": repr(field.get_default()) for name, field in fields}
    whole = defaults | {"ranking reference": RunIdentity.ranking_reference} | saved
    if whole["dataset fingerprint"] == identity.earlier_fingerprint:
        whole["dataset fingerprint"] = identity.dataset_fingerprint
    return whole
