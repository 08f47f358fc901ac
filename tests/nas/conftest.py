"""A search space small enough to reason about by hand, whose truth is known."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from gtn_core.errors import InvalidArchitectureError
from nas.architecture import Architecture
from nas.search_spaces.base import ImageShape


class ToyConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    length: int = Field(default=6, ge=1)


class ToySpace:
    """Strings of digits 0 to 3; a string and its reverse count as isomorphic."""

    name: ClassVar[str] = "toy"
    description: ClassVar[str] = "Strings of digits 0 to 3."
    Config: ClassVar[type[ToyConfig]] = ToyConfig

    def __init__(self, config: ToyConfig | None = None) -> None:
        self.config = config or ToyConfig()

    def sample(self, rng: np.random.Generator) -> Architecture:
        return Architecture(
            self.name, "".join(str(digit) for digit in rng.integers(4, size=self.config.length))
        )

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        neighbours = list(self.neighbours(architecture))
        return neighbours[rng.integers(len(neighbours))]

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        encoding = architecture.encoding
        for position, present in enumerate(encoding):
            for digit in "0123":
                if digit != present:
                    yield Architecture(self.name, encoding[:position] + digit + encoding[position + 1 :])

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
