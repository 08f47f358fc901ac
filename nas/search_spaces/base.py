"""What every search space can do. Algorithms and engines know this protocol and nothing more."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel
from torch import nn

from nas.architecture import Architecture

ImageShape = tuple[int, int, int]
"""Channels, height, width."""


@runtime_checkable
class SearchSpace(Protocol):
    """A set of architectures and how to draw, vary, read and build them.

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
        """Draw one architecture uniformly over encodings."""
        ...

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return an architecture that differs in exactly one choice."""
        ...

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """All architectures that differ in exactly one choice, in a fixed order."""
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
