"""What every search space can do. Algorithms and engines know this protocol and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from nas.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

ImageShape = tuple[int, int, int]
"""Channels, height, width."""


@runtime_checkable
class SearchSpace(Protocol):
    """A set of architectures and how to draw, vary, read and build them.

    `nas.search_spaces.choices.ChoiceSpace` derives most of it from a list of choices.

    Random choices come from the generator passed in; the same state gives the same architecture in any
    process.
    """

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def config(self) -> BaseModel:
        """The space's own frozen parameters (channels, cells per stage, ...): one JSON Schema per space."""
        ...

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw one architecture, every choice of it uniformly."""
        ...

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return an architecture that differs in exactly one choice."""
        ...

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """All architectures that differ in exactly one choice, in a fixed order."""
        ...

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
        """Return an architecture each of whose choices is one parent's, where that parent has it."""
        ...

    @property
    def domains(self) -> Mapping[str, Sequence[str]]:
        """Every choice that an architecture can have, by name, with its options, in a fixed order."""
        ...

    def choices(self, architecture: Architecture) -> dict[str, str]:
        """The choices that this architecture has; `compose` makes it from them."""
        ...

    def compose(self, choose: Callable[[str], str]) -> Architecture:
        """Put an architecture together from an option for each name that is asked for."""
        ...

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        """What a predictor reads, float64 [D]; D is the same for all architectures of the space."""
        ...

    def parse(self, encoding: str) -> Architecture:
        """Read and check an encoding. Raises InvalidArchitectureError naming the part that is wrong."""
        ...

    def canonical_hash(self, architecture: Architecture) -> str:
        """Equal for architectures that compute the same function family (isomorphic cells)."""
        ...

    def build(
        self, architecture: Architecture, *, image_shape: ImageShape, num_classes: int, seed: int
    ) -> nn.Module:
        """A freshly initialised network; the same seed gives the same weights in any process.

        The network maps images float32 [B, C, H, W] to logits float32 [B, num_classes].
        """
        ...
