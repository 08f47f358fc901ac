"""A macro space in words: its stages, and what may be chosen in each. Plain data, from JSON or TOML."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gtn_core.strict_model import StrictModel

Block = Literal["plain", "residual", "bottleneck", "depthwise_separable", "inverted_residual"]


def _listed(value: Any) -> Any:
    """A single value stands for a choice that is made already."""
    return value if isinstance(value, list | tuple) else (value,)


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError(f"an option is given twice: {', '.join(map(str, values))}")
    return values


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"{value} is even; a convolution that keeps height and width has an odd kernel size")
    return value


_Options = Field(min_length=1, max_length=32, fail_fast=True)
_One = BeforeValidator(_listed)
_Distinct = AfterValidator(_distinct)

Blocks = Annotated[tuple[Block, ...], _Options, _One, _Distinct]
Depths = Annotated[tuple[Annotated[int, Field(ge=0, le=32)], ...], _Options, _One, _Distinct]
WIDEST = 4096
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=WIDEST)], ...], _Options, _One, _Distinct]
KernelSizes = Annotated[
    tuple[Annotated[int, Field(ge=1, le=15), AfterValidator(_odd)], ...], _Options, _One, _Distinct
]
Strides = Annotated[tuple[Annotated[int, Field(ge=1, le=4)], ...], _Options, _One, _Distinct]
Expansions = Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], _Options, _One, _Distinct]


class StageDescription(StrictModel):
    """One stage: each field is one value or a list of options to choose from."""

    block: Blocks = Field(
        ("residual",),
        description="Kind of the stage's blocks: plain, residual, bottleneck, depthwise_separable, "
        "inverted_residual.",
    )
    depth: Depths = Field(
        (1, 2), description="Blocks in the stage; with 0 there is no stage, and none of its other choices."
    )
    width: Widths = Field(description="Output channels of the stage's blocks.")
    kernel_size: KernelSizes = Field((3,), description="Kernel size of the blocks' spatial convolutions.")
    stride: Strides = Field((1,), description="Stride of the stage's first block.")
    expansion: Expansions = Field(
        (4,), description="Inner width over input width; exists only where the block is inverted_residual."
    )


class MacroDescription(StrictModel):
    """A space of networks: a stem, the stages in order, and a linear head."""

    stem_channels: int = Field(
        16, ge=1, le=1024, description="Channels of the 3x3 convolution before stage 1."
    )
    stages: tuple[StageDescription, ...] = Field(
        min_length=1, max_length=16, fail_fast=True, description="The stages, first to last."
    )
