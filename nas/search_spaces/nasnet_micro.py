"""The paper's search space: ENAS/NAO micro cells, a normal and a reduction cell of five nodes each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import count
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
from nas.search_spaces.nasnet_micro_cell import (
    INPUTS,
    KINDS,
    NODES,
    OPERATIONS,
    Cells,
    canonical,
    format_cells,
    parse_cells,
)
from nas.search_spaces.network_source import inline

if TYPE_CHECKING:
    from torch import nn

    from nas.search_spaces.nasnet_micro_network import Nodes


class NasNetMicroConfig(StrictModel):
    """Size of the network around the cells; the defaults search on a laptop."""

    channels: int = Field(
        8,
        ge=2,
        le=512,
        description="Channels of a cell's nodes in the first stage (F); doubled at each reduction. The paper "
        "searches with 32 and trains the winner with up to 128.",
    )
    cells_per_stage: int = Field(
        1,
        ge=1,
        le=20,
        description="Normal cells in each of the three stages (N). The paper searches with 3 and trains the "
        "winner with 6.",
    )


class NasNetMicro(ChoiceSpace):
    """Two cells of five nodes; a node adds two of eleven operations on earlier nodes or the cell's inputs.

    Networks are built from the canonical form of the cells, so architectures with one canonical hash are one
    network: equal seeds give them equal weights.
    """

    name: ClassVar[str] = "nasnet_micro"
    description: ClassVar[str] = (
        "The paper's ENAS/NAO micro space: a normal and a reduction cell, 5 nodes, 11 operations."
    )
    Config: ClassVar[type[NasNetMicroConfig]] = NasNetMicroConfig

    def __init__(self, config: NasNetMicroConfig) -> None:
        self.config = config

    @cached_property
    def domains(self) -> Mapping[str, Sequence[str]]:
        """An input and an operation for each branch, such as `normal.2.a.input`."""
        domains: dict[str, Sequence[str]] = {}
        for kind in KINDS:
            for node in range(INPUTS, INPUTS + NODES):
                for branch in "ab":
                    domains[f"{kind}.{node}.{branch}.input"] = [str(source) for source in range(node)]
                    domains[f"{kind}.{node}.{branch}.operation"] = list(OPERATIONS)
        return domains

    def choices(self, architecture: Architecture) -> dict[str, str]:
        """Input and operation of every branch."""
        return _choices(parse_cells(architecture.encoding))

    def compose(self, choose: Choose) -> Architecture:
        """Both cells from their branches."""

        def branch(name: str) -> tuple[str, int]:
            source = int(choose(f"{name}.input"))
            return choose(f"{name}.operation"), source

        def cell(kind: str) -> Nodes:
            return tuple(
                (branch(f"{kind}.{node}.a"), branch(f"{kind}.{node}.b"))
                for node in range(INPUTS, INPUTS + NODES)
            )

        return Architecture(self.name, format_cells(Cells(*(cell(kind) for kind in KINDS))))

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        """One-hot choices of the canonical form, float64 [300]: equal for isomorphic cells."""
        return self.one_hot(_choices(self.cells(architecture)))

    def parse(self, encoding: str) -> Architecture:
        """Read the JSON of both cells. Raises InvalidArchitectureError naming the part that is wrong."""
        return Architecture(self.name, format_cells(parse_cells(encoding)))

    def canonical_hash(self, architecture: Architecture) -> str:
        """SHA-256 of the form that isomorphic cells share."""
        return hashlib.sha256(format_cells(self.cells(architecture)).encode()).hexdigest()

    def cells(self, architecture: Architecture) -> Cells:
        """Both cells in canonical form."""
        cells = parse_cells(architecture.encoding)
        return Cells(canonical(cells.normal), canonical(cells.reduce))

    def build(
        self, architecture: Architecture, *, image_shape: ImageShape, num_classes: int, seed: int
    ) -> nn.Module:
        """The network of Such et al. around the cells, for images of any size."""
        from nas.search_spaces import nasnet_micro_network

        cells = self.cells(architecture)
        with seeded_initialisation(seed):
            return nasnet_micro_network.Network(
                cells.normal,
                cells.reduce,
                channels=self.config.channels,
                cells_per_stage=self.config.cells_per_stage,
                image_channels=image_shape[0],
                num_classes=num_classes,
            )

    def python_source(self, architecture: Architecture, *, image_shape: ImageShape, num_classes: int) -> str:
        """Source of `build_network()`, whose network has the state dict of `build`'s."""
        from nas.search_spaces import nasnet_micro_network

        cells = self.cells(architecture)
        build = (
            "Network(\n"
            f"        normal={_literal(cells.normal)},\n"
            f"        reduction={_literal(cells.reduce)},\n"
            f"        channels={self.config.channels},\n"
            f"        cells_per_stage={self.config.cells_per_stage},\n"
            f"        image_channels={image_shape[0]},\n"
            f"        num_classes={num_classes},\n"
            "    )"
        )
        return inline(nasnet_micro_network, build)

    def diagrams(self, architecture: Architecture) -> tuple[CellDiagram, ...]:
        """The normal and the reduction cell; loose ends lead to the output."""
        cells = parse_cells(architecture.encoding)
        return (_diagram("normal cell", cells.normal), _diagram("reduction cell", cells.reduce))


def _choices(cells: Cells) -> dict[str, str]:
    made = {}
    for kind in KINDS:
        nodes: Nodes = getattr(cells, kind)
        for number, node in enumerate(nodes, start=INPUTS):
            for branch, (operation, source) in zip("ab", node, strict=True):
                made[f"{kind}.{number}.{branch}.input"] = str(source)
                made[f"{kind}.{number}.{branch}.operation"] = operation
    return made


def _diagram(title: str, nodes: Nodes) -> CellDiagram:
    names = ("before", "previous", *(f"node {number}" for number in range(1, NODES + 1)), "output")
    edges = [
        Edge(names[source], names[number], operation)
        for number, node in zip(count(INPUTS), nodes, strict=False)
        for operation, source in node
    ]
    used = {source for node in nodes for _, source in node}
    loose = [state for state in range(INPUTS + NODES) if state not in used]
    ends = [Edge(names[state], "output", "concat") for state in loose]
    return CellDiagram(title, names, inputs=names[:INPUTS], output="output", edges=(*edges, *ends))


def _literal(nodes: Nodes) -> str:
    lines = "".join(f"            {node!r},\n".replace("'", '"') for node in nodes)
    return f"(\n{lines}        )"
