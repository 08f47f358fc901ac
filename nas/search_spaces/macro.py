"""Macro spaces: depth, width, kernel size, stride and block of each stage, as a description says."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from gtn_core.errors import InvalidArchitectureError
from gtn_core.randomness import seeded_initialisation
from gtn_core.strict_model import StrictModel
from nas.architecture import Architecture
from nas.drawing import CellDiagram, Edge
from nas.search_spaces.base import ImageShape
from nas.search_spaces.choices import ChoiceSpace, Choose
from nas.search_spaces.macro_description import MacroDescription, StageDescription
from nas.search_spaces.network_source import inline

if TYPE_CHECKING:
    from torch import nn

    from nas.search_spaces.macro_network import BlockSpec

Stage = dict[str, str | int]
"""What was chosen for a stage; `{"depth": 0}` for one that is not there."""


class MacroConfig(StrictModel):
    """The space's description."""

    description: MacroDescription = Field(description="Stages, and what may be chosen in each.")


class Macro(ChoiceSpace):
    """Networks of stages, as a description of plain data says.

    The encoding is JSON, `{"stages": [{"depth": 2, "block": "residual", ...}, {"depth": 0}, ...]}`. Networks
    are built from the row of blocks that the stages come down to, so architectures with one canonical hash
    are one network.
    """

    name: ClassVar[str] = "macro"
    description: ClassVar[str] = "Your own stages: block, depth, width, kernel size and stride, without code."
    Config: ClassVar[type[BaseModel]] = MacroConfig

    def __init__(self, config: MacroConfig) -> None:
        self.config: BaseModel = config
        self._network = config.description

    @cached_property
    def domains(self) -> Mapping[str, Sequence[str]]:
        """What has more than one option, such as `stage1.width`."""
        return {
            f"stage{number}.{field}": [str(option) for option in getattr(stage, field)]
            for number, stage in enumerate(self._network.stages, start=1)
            for field in _fields(stage)
            if len(getattr(stage, field)) > 1
        }

    def choices(self, architecture: Architecture) -> dict[str, str]:
        """The options that were chosen in the stages that are there."""
        return self._choices(self._parse(architecture.encoding))

    def compose(self, choose: Choose) -> Architecture:
        """The stages; what a stage is made of is asked for only if it is there."""

        def pick(number: int, stage: StageDescription, field: str) -> Any:
            options = getattr(stage, field)
            if len(options) == 1:
                return options[0]
            chosen = choose(f"stage{number}.{field}")
            return next(option for option in options if str(option) == chosen)

        stages: list[Stage] = []
        for number, described in enumerate(self._network.stages, start=1):
            stage: Stage = {"depth": pick(number, described, "depth")}
            if stage["depth"]:
                stage["block"] = pick(number, described, "block")
                for field in _fields_of_block(stage["block"]):
                    stage[field] = pick(number, described, field)
            stages.append(stage)
        return self._architecture(stages)

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        """One-hot choices, then depth and log2 of the width of every stage; float64 [D].

        They are those of the stages that come first among all that are the same row of blocks: networks that
        are one have equal features.
        """
        stages = first_stages(self._network.stages, self.blocks(architecture))
        sizes = [
            size
            for stage in stages
            for size in (float(stage["depth"]), math.log2(float(stage.get("width", 1))))
        ]
        return np.concatenate([self.one_hot(self._choices(stages)), np.array(sizes, dtype=np.float64)])

    def parse(self, encoding: str) -> Architecture:
        """Read JSON in any layout. Raises InvalidArchitectureError naming the stage and field at fault."""
        return self._architecture(self._parse(encoding))

    def canonical_hash(self, architecture: Architecture) -> str:
        """SHA-256 of the row of blocks: stages are no more than a way to write it."""
        return hashlib.sha256(json.dumps(self.blocks(architecture)).encode()).hexdigest()

    def blocks(self, architecture: Architecture) -> list[BlockSpec]:
        """The blocks in a row."""
        return [block for stage in self._parse(architecture.encoding) for block in _blocks_of_stage(stage)]

    def build(
        self, architecture: Architecture, *, image_shape: ImageShape, num_classes: int, seed: int
    ) -> nn.Module:
        """The network of these blocks, for images of any size."""
        from nas.search_spaces import macro_network

        with seeded_initialisation(seed):
            return macro_network.Network(
                self.blocks(architecture),
                stem_channels=self._network.stem_channels,
                image_channels=image_shape[0],
                num_classes=num_classes,
            )

    def python_source(self, architecture: Architecture, *, image_shape: ImageShape, num_classes: int) -> str:
        """Source of `build_network()`, whose network has the state dict of `build`'s."""
        from nas.search_spaces import macro_network

        blocks = "".join(f"            {block!r},\n".replace("'", '"') for block in self.blocks(architecture))
        build = (
            "Network(\n"
            f"        [  # kind, width, kernel size, stride, expansion\n{blocks}        ],\n"
            f"        stem_channels={self._network.stem_channels},\n"
            f"        image_channels={image_shape[0]},\n"
            f"        num_classes={num_classes},\n"
            "    )"
        )
        return inline(macro_network, build)

    def diagrams(self, architecture: Architecture) -> tuple[CellDiagram, ...]:
        """The network from stem to head, a stage on each edge."""
        there = [stage for stage in self._parse(architecture.encoding) if stage["depth"]]
        nodes = ("images", "stem", *(f"stage {number}" for number in range(1, len(there) + 1)), "head")
        labels = ["conv 3x3", *(_label(stage) for stage in there), "linear"]
        edges = (Edge(*ends) for ends in zip(nodes, nodes[1:], labels, strict=False))
        return (CellDiagram("network", nodes, inputs=nodes[:1], output=nodes[-1], edges=tuple(edges)),)

    def _choices(self, stages: Sequence[Stage]) -> dict[str, str]:
        return {
            f"stage{number}.{field}": str(value)
            for number, stage in enumerate(stages, start=1)
            for field, value in stage.items()
            if f"stage{number}.{field}" in self.domains
        }

    def _architecture(self, stages: list[Stage]) -> Architecture:
        return Architecture(self.name, json.dumps({"stages": stages}, separators=(",", ":")))

    def _parse(self, encoding: str) -> list[Stage]:
        try:
            value = json.loads(encoding)
        except (ValueError, RecursionError) as error:  # also an integer of thousands of digits
            raise _invalid(f"{encoding[:80]!r} is not JSON: {error}") from error
        stages = value.get("stages") if isinstance(value, dict) and set(value) == {"stages"} else None
        if not isinstance(stages, list) or len(stages) != len(self._network.stages):
            raise _invalid(f"expected a list of {len(self._network.stages)} stages under the key 'stages'")
        return [
            _parse_stage(number, described, stage)
            for number, (described, stage) in enumerate(
                zip(self._network.stages, stages, strict=True), start=1
            )
        ]


def _fields(stage: StageDescription) -> list[str]:
    """Everything that may be chosen in a stage, what the rest depends on first."""
    inverted = ("expansion",) if "inverted_residual" in stage.block else ()
    exists = any(stage.depth)
    return ["depth", *(("block", "width", "kernel_size", "stride", *inverted) if exists else ())]


def _fields_of_block(block: Any) -> tuple[str, ...]:
    shared = ("width", "kernel_size", "stride")
    return (*shared, "expansion") if block == "inverted_residual" else shared


def _parse_stage(number: int, described: StageDescription, stage: Any) -> Stage:
    if not isinstance(stage, dict):
        raise _invalid(f"stage {number} is {stage!r}, not an object")
    fields: tuple[str, ...] = ("depth",)
    if stage.get("depth") != 0:
        fields = ("depth", "block", *_fields_of_block(stage.get("block")))
    if set(stage) != set(fields):
        raise _invalid(
            f"stage {number} should have {', '.join(fields)}; it has {', '.join(stage) or 'nothing'}"
        )
    for field in fields:
        options = getattr(described, field)
        if type(stage[field]) is not type(options[0]) or stage[field] not in options:
            known = ", ".join(map(str, options))
            raise _invalid(f"stage {number}: {field} {stage[field]!r} is not one of: {known}")
    return {field: stage[field] for field in fields}


def _blocks_of_stage(stage: Stage) -> list[BlockSpec]:
    return [
        (
            str(stage["block"]),
            int(stage["width"]),
            int(stage["kernel_size"]),
            int(stage["stride"]) if position == 0 else 1,
            int(stage.get("expansion", 0)),
        )
        for position in range(int(stage["depth"]))
    ]


def first_stages(described: Sequence[StageDescription], blocks: Sequence[BlockSpec]) -> list[Stage]:
    """The first stages that come down to this row of blocks, which some do: each as short as it may be."""

    @cache
    def way(number: int, place: int) -> tuple[Stage, ...] | None:
        if number == len(described):
            return () if place == len(blocks) else None
        for depth in sorted(described[number].depth):
            stage = _stage_of(described[number], depth, blocks[place : place + depth])
            rest = None if stage is None else way(number + 1, place + depth)
            if stage is not None and rest is not None:
                return (stage, *rest)
        return None

    return list(way(0, 0) or ())


def _stage_of(described: StageDescription, depth: int, blocks: Sequence[BlockSpec]) -> Stage | None:
    """The stage of this depth that is these blocks, if there is one."""
    if depth == 0:
        return {"depth": 0}
    if len(blocks) < depth:
        return None
    block, width, kernel_size, stride, expansion = blocks[0]
    stage: Stage = {"depth": depth, "block": block, "width": width, "kernel_size": kernel_size}
    stage |= {"stride": stride} | ({"expansion": expansion} if block == "inverted_residual" else {})
    offered = all(value in getattr(described, field) for field, value in stage.items())
    return stage if offered and _blocks_of_stage(stage) == list(blocks) else None


def _label(stage: Stage) -> str:
    kernel_size = stage["kernel_size"]
    stride = f" /{stage['stride']}" if stage["stride"] != 1 else ""
    return f"{stage['depth']} {stage['block']} {kernel_size}x{kernel_size} {stage['width']}ch{stride}"


def _invalid(reason: str) -> InvalidArchitectureError:
    return InvalidArchitectureError(
        f'not an architecture of this macro space: {reason}. The encoding is {{"stages": [{{"depth": 1, '
        f'"block": "residual", "width": 16, "kernel_size": 3, "stride": 1}}, {{"depth": 0}}, ...]}}'
    )
