"""The errors of the method, drawn once; those of plugins, Ray workers and services stand where they arise.

    GtnNasError
    ├── UnknownNameError          a name that no registry holds
    ├── DatasetError              data that are missing, corrupt or of the wrong shape
    ├── CheckpointError           a frozen checkpoint that is missing, corrupt or does not fit
    ├── InvalidArchitectureError  an encoding that is not of its search space
    ├── MemoryLimitError          a configuration that does not fit the device's memory
    ├── DeviceError               an option that the device at hand does not have
    ├── MetaTrainingDiverged      an unroll whose loss or gradient is not finite
    ├── FinalTrainingDiverged     a final training whose loss is not finite
    └── ExportError               a trained network that cannot be written out or read back

Every message names the thing, the value that was given, and what would do.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gtn_core.checkpoint import FrozenCheckpoint

DIVERGED_AT = "diverged_at_meta_step"
"""The metric of a checkpoint by which one tells that its meta-training did not come to its end."""


class GtnNasError(Exception):
    """Base of every error that this project raises on purpose; `remedy`: what to do, where that is known."""

    def __init__(self, *told: object, remedy: str | None = None) -> None:
        super().__init__(*told)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.detail}; {self.remedy}" if self.remedy else self.detail

    @property
    def detail(self) -> str:
        """What happened, without the remedy."""
        return super().__str__()


class UnknownNameError(GtnNasError):
    """A name that is not registered; the message lists those that are."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(self.known)}")

    def __reduce__(self) -> tuple[type["UnknownNameError"], tuple[str, str, list[str]]]:
        return type(self), (self.kind, self.name, self.known)


class DatasetError(GtnNasError):
    """Data that are missing, corrupt or of the wrong shape."""


class CheckpointError(GtnNasError):
    """A frozen checkpoint that is missing, corrupt, or does not fit the data it meets."""


class InvalidArchitectureError(GtnNasError):
    """An encoding that does not belong to its search space."""


class MetaTrainingDiverged(GtnNasError):  # noqa: N818 - the field's word for it
    """An unroll whose loss or meta-gradient is not finite; carries where it happened, and what is left."""

    def __init__(
        self, message: str, *, meta_step: int, learner: str, value: float, remedy: str | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.meta_step, self.learner, self.value = meta_step, learner, value
        self.last_norm: float | None = None  # of the meta-gradient one step before
        self.checkpoint: FrozenCheckpoint | None = None  # of what was learned until then

    @property
    def detail(self) -> str:
        """Where it happened, and what is left."""
        told = super().detail
        if self.last_norm is not None:
            told += f", after a meta-gradient of norm {self.last_norm:.3g} one step before"
        if self.checkpoint is not None:
            accuracy = self.checkpoint.manifest.metrics["validation_accuracy"]
            told += (
                f"; what {self.meta_step - 1} meta steps learned is checkpoint {self.checkpoint.id[:16]}, "
                f"with a validation accuracy of {accuracy:.1%}"
            )
        return told

    def __reduce__(self) -> tuple[Callable[..., "MetaTrainingDiverged"], tuple[Any, ...], dict[str, Any]]:
        known = partial(type(self), meta_step=self.meta_step, learner=self.learner, value=self.value)
        return known, self.args, self.__dict__


class MemoryLimitError(GtnNasError):
    """A configuration whose estimated memory is more than the device has."""


class DeviceError(GtnNasError):
    """An option that needs another device than the one at hand."""


class FinalTrainingDiverged(GtnNasError):  # noqa: N818 - as above
    """A final training whose loss is not finite."""


class ExportError(GtnNasError):
    """A trained network that cannot be written out or read back."""
