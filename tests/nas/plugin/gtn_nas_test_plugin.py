"""An installed distribution with a tiny search space and an estimator that does as it is told.

Tests put this folder on the import path, of Ray's workers too, and reach both by name as any plugin.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from gtn_core.errors import InvalidArchitectureError
from nas.architecture import Architecture
from nas.estimators.base import CandidateFailed, CandidateScore, EstimatorConfig, EstimatorData
from nas.search_spaces.base import ImageShape, SearchSpace
from nas.search_spaces.choices import ChoiceSpace, Choose

if TYPE_CHECKING:
    import torch
    from torch import nn


class LettersConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    length: int = Field(2, ge=1, le=32)


class Letters(ChoiceSpace):
    """Words over "abc"; the order of the letters does not matter. Each "c" adds a hidden unit."""

    name: ClassVar[str] = "letters"
    description: ClassVar[str] = 'Words over "abc", equal up to the order of their letters.'
    Config: ClassVar[type[LettersConfig]] = LettersConfig

    def __init__(self, config: LettersConfig) -> None:
        self.config = config

    @property
    def domains(self) -> dict[str, list[str]]:
        return {str(position): list("abc") for position in range(self.config.length)}

    def choices(self, architecture: Architecture) -> dict[str, str]:
        return dict(zip(self.domains, architecture.encoding, strict=True))

    def compose(self, choose: Choose) -> Architecture:
        return Architecture(self.name, "".join(choose(name) for name in self.domains))

    def parse(self, encoding: str) -> Architecture:
        if len(encoding) != self.config.length or set(encoding) - set("abc"):
            raise InvalidArchitectureError(f"{encoding!r} is no word of {self.config.length} letters of abc")
        return Architecture(self.name, encoding)

    def canonical_hash(self, architecture: Architecture) -> str:
        return "".join(sorted(architecture.encoding))

    def build(
        self, architecture: Architecture, *, image_shape: ImageShape, num_classes: int, seed: int
    ) -> nn.Module:
        from torch import nn

        from gtn_core.randomness import seeded_initialisation

        width = 1 + architecture.encoding.count("c")
        with seeded_initialisation(seed):
            return nn.Sequential(
                nn.Flatten(), nn.Linear(int(np.prod(image_shape)), width), nn.Linear(width, num_classes)
            )


class ScriptedConfig(EstimatorConfig):
    needs_train_data: ClassVar[bool] = False
    needs_torch: ClassVar[bool] = False

    script: dict[str, Literal["fail", "raise", "break", "break once", "die once", "die", "hang"]] = Field(
        {}, description="By encoding."
    )
    seconds: float = 0.0
    start_seconds: float = Field(0.0, description="How long it takes to be made.")
    folder: str = Field("", description="Where deaths are noted.")
    log: str = Field("", description="A file that gets a line with the encoding for each evaluation.")
    broken: bool = Field(False, description="Refuse to be made.")


class Scripted:
    """Scores by the share of "3x3" or of "c" in the encoding, unless the script says otherwise."""

    name: ClassVar[str] = "scripted"
    description: ClassVar[str] = "Does as it is told."
    Config: ClassVar[type[ScriptedConfig]] = ScriptedConfig

    def __init__(self, data: EstimatorData, config: ScriptedConfig, device: torch.device) -> None:
        if config.broken:
            raise RuntimeError("told to be broken")
        time.sleep(config.start_seconds)
        self.config, self._train_size = config, len(data.train_labels)

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        if self.config.log:
            with Path(self.config.log).open("a") as log:
                log.write(f"{architecture.encoding}\n")
        time.sleep(self.config.seconds)
        match self.config.script.get(architecture.encoding):
            case "fail":
                raise CandidateFailed("non-finite", "told to fail")
            case "raise":
                raise ZeroDivisionError("told to raise")
            case "break":
                self._break()
            case "break once" if not list(Path(self.config.folder).iterdir()):
                self._break()
            case "die":
                self._die()
            case "hang":
                time.sleep(1e6)
            case "die once" if not list(Path(self.config.folder).iterdir()):
                self._die()
        encoding = architecture.encoding
        quality = (encoding.count("3x3") + encoding.count("c")) / len(encoding)
        readouts = {"pid": float(os.getpid()), "train_size": float(self._train_size)}
        return CandidateScore(quality, 1 - quality, (1.0, 0.5), 10, 20, self.config.seconds, readouts)

    def _break(self) -> None:
        """As a CUDA device does after a fault: every later call in this process fails too."""
        import torch

        Path(self.config.folder, f"{os.getpid()}").touch()
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    def _die(self) -> None:
        Path(self.config.folder, f"{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
