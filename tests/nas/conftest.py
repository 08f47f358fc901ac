"""A search space small enough to reason about by hand, whose truth is known; and digits to score with."""

import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import load_dataset
from gtn_core.errors import InvalidArchitectureError
from nas.architecture import Architecture
from nas.estimators import EstimatorData, estimator_data
from nas.search_spaces.base import ImageShape
from nas.search_spaces.choices import ChoiceSpace, Choose
from nas.search_spaces.nasbench201 import NasBench201, NasBench201Config

PLUGIN = str(Path(__file__).parent / "plugin")


def let_ray_find_the_plugin(patch: pytest.MonkeyPatch) -> None:
    """For a Ray that is started, or joined, under the patch: its workers find the tests' plugin, as we do."""
    patch.setenv("RAY_AUTH_MODE", "disabled")
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("PYTHONPATH", PLUGIN, prepend=os.pathsep)
    patch.syspath_prepend(PLUGIN)


class ToyConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    length: int = Field(default=6, ge=1)


class ToySpace(ChoiceSpace):
    """Strings of digits 0 to 3; a string and its reverse count as isomorphic."""

    name: ClassVar[str] = "toy"
    description: ClassVar[str] = "Strings of digits 0 to 3."
    Config: ClassVar[type[ToyConfig]] = ToyConfig

    def __init__(self, config: ToyConfig | None = None) -> None:
        self.config = config or ToyConfig()

    @property
    def domains(self) -> dict[str, list[str]]:
        return {str(position): list("0123") for position in range(self.config.length)}

    def choices(self, architecture: Architecture) -> dict[str, str]:
        return dict(zip(self.domains, architecture.encoding, strict=True))

    def compose(self, choose: Choose) -> Architecture:
        return Architecture(self.name, "".join(choose(name) for name in self.domains))

    def parse(self, encoding: str) -> Architecture:
        if len(encoding) != self.config.length or set(encoding) - set("0123"):
            raise InvalidArchitectureError(f"{encoding!r} is not {self.config.length} digits from 0 to 3")
        return Architecture(self.name, encoding)

    def canonical_hash(self, architecture: Architecture) -> str:
        return min(architecture.encoding, architecture.encoding[::-1])

    def build(
        self, architecture: Architecture, *, image_shape: ImageShape, num_classes: int, seed: int
    ) -> nn.Module:
        network = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(image_shape)), num_classes))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            network[1].weight.normal_(0, 0.01 * (1 + architecture.encoding.count("3")), generator=generator)
            network[1].bias.zero_()
        return network

    def truth(self, architecture: Architecture) -> float:
        """The share of digits that are 3: the best architecture is 33...3, the worst has no 3."""
        return architecture.encoding.count("3") / len(architecture.encoding)


@pytest.fixture
def toy_space() -> ToySpace:
    return ToySpace()


class WithDropout(NasBench201):
    """Its networks draw random numbers in `forward`."""

    def build(
        self, architecture: Architecture, *, image_shape: ImageShape, num_classes: int, seed: int
    ) -> nn.Module:
        network = super().build(architecture, image_shape=image_shape, num_classes=num_classes, seed=seed)
        return nn.Sequential(network, nn.Dropout(0.5))


@pytest.fixture(scope="session")
def space_with_dropout() -> WithDropout:
    return WithDropout(NasBench201Config(channels=4, cells_per_stage=1))


@pytest.fixture(scope="session")
def data() -> EstimatorData:
    """Digits to score with: a curriculum of 4 real batches of 16."""
    splits = load_dataset("digits", seed=0)
    curriculum = SyntheticCurriculum(
        images=splits.train.images[:64].view(4, 16, 1, 8, 8),
        labels=F.one_hot(splits.train.labels[:64], 10).float().view(4, 16, 10),
        learning_rates=torch.full((4,), 0.1),
        momenta=torch.full((4,), 0.5),
    )
    return estimator_data(curriculum, splits)
