"""The NAS-Bench-201 search space (Dong & Yang, "NAS-Bench-201", ICLR 2020): 15,625 cells of six edges."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gtn_core.randomness import seeded_initialisation
from gtn_core.strict_model import StrictModel
from nas.architecture import Architecture
from nas.drawing import CellDiagram, Edge
from nas.search_spaces.base import ImageShape
from nas.search_spaces.choices import ChoiceSpace, Choose
from nas.search_spaces.nasbench201_cell import (
    EDGES,
    OPERATIONS,
    CellOperations,
    CellProgram,
    format_cell,
    parse_cell,
    reduce_cell,
    representative,
)

if TYPE_CHECKING:
    from torch import nn

_EDGE_NAMES = tuple(f"{source}→{target}" for source, target in EDGES)


class NasBench201Config(StrictModel):
    """Size of the network around the cell; the defaults are the benchmark's."""

    channels: int = Field(
        16, ge=1, le=512, description="Channels of the first stage; each stage doubles them."
    )
    cells_per_stage: int = Field(5, ge=1, le=20, description="Cells in each of the three stages.")


class NasBench201(ChoiceSpace):
    """Cells of four nodes with one of five operations on each of their six edges.

    The network is built from the cell's program (`reduce_cell`), so edges that compute nothing cost nothing,
    and architectures with one canonical hash are one network: equal seeds give them equal weights.
    """

    name: ClassVar[str] = "nasbench201"
    description: ClassVar[str] = "NAS-Bench-201 cells: 4 nodes, 6 edges, 5 operations, 15,625 architectures."
    Config: ClassVar[type[NasBench201Config]] = NasBench201Config

    def __init__(self, config: NasBench201Config) -> None:
        self.config = config

    @cached_property
    def domains(self) -> Mapping[str, Sequence[str]]:
        """One of five operations for each edge, such as `0→1`."""
        return dict.fromkeys(_EDGE_NAMES, OPERATIONS)

    def choices(self, architecture: Architecture) -> dict[str, str]:
        """The operation of every edge."""
        return dict(zip(_EDGE_NAMES, parse_cell(architecture.encoding), strict=True))

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        """One-hot choices, float64 [30], of the cell that stands for all isomorphic ones: equal for them."""
        return self.one_hot(dict(zip(_EDGE_NAMES, representative(self.program(architecture)), strict=True)))

    def compose(self, choose: Choose) -> Architecture:
        """The cell with these edges."""
        return self._architecture(tuple(choose(name) for name in _EDGE_NAMES))

    def parse(self, encoding: str) -> Architecture:
        """Read the benchmark's string. Raises InvalidArchitectureError naming the part that is wrong."""
        return self._architecture(parse_cell(encoding))

    def canonical_hash(self, architecture: Architecture) -> str:
        """SHA-256 of the program that isomorphic cells share."""
        return hashlib.sha256(str(self.program(architecture)).encode()).hexdigest()

    def build(
        self, architecture: Architecture, *, image_shape: ImageShape, num_classes: int, seed: int
    ) -> nn.Module:
        """The benchmark's network around the cell, for images of any size."""
        from nas.search_spaces.nasbench201_network import Cell, Network

        with seeded_initialisation(seed):
            return Network(
                partial(Cell, self.program(architecture)),
                channels=self.config.channels,
                cells_per_stage=self.config.cells_per_stage,
                image_channels=image_shape[0],
                num_classes=num_classes,
            )

    def python_source(self, architecture: Architecture, *, image_shape: ImageShape, num_classes: int) -> str:
        """Source of `build_network()`, whose network has the state dict of `build`'s."""
        from nas.search_spaces.nasbench201_source import network_source

        return network_source(
            self.program(architecture),
            channels=self.config.channels,
            cells_per_stage=self.config.cells_per_stage,
            image_channels=image_shape[0],
            num_classes=num_classes,
        )

    def diagrams(self, architecture: Architecture) -> tuple[CellDiagram, ...]:
        """The cell with all of its edges but `none`."""
        nodes = ("input", "node 1", "node 2", "output")
        edges = (
            Edge(nodes[source], nodes[target], operation)
            for (source, target), operation in zip(EDGES, parse_cell(architecture.encoding), strict=True)
            if operation != "none"
        )
        return (CellDiagram("cell", nodes, inputs=nodes[:1], output=nodes[-1], edges=tuple(edges)),)

    def program(self, architecture: Architecture) -> CellProgram:
        """What the cell computes once dead edges, `none` and `skip_connect` are resolved."""
        return reduce_cell(parse_cell(architecture.encoding))

    def _architecture(self, operations: CellOperations) -> Architecture:
        return Architecture(self.name, format_cell(operations))
