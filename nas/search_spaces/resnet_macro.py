"""Residual networks (He et al., CVPR 2016): how deep, how wide, with which kernels and strides."""

from typing import ClassVar, Self

from pydantic import BaseModel, Field, model_validator

from gtn_core.strict_model import StrictModel
from nas.search_spaces.macro import Macro, MacroConfig
from nas.search_spaces.macro_description import WIDEST, MacroDescription, StageDescription


class ResNetMacroConfig(StrictModel):
    """How large the networks may become; the defaults search on a laptop."""

    channels: int = Field(
        16, ge=2, le=512, description="Channels of the stem; stage n chooses around channels x 2^(n - 1)."
    )
    stages: int = Field(3, ge=1, le=6, description="Most stages; all but the first may be left out.")
    max_depth: int = Field(3, ge=1, le=16, description="Most blocks in a stage.")

    @model_validator(mode="after")
    def _is_buildable(self) -> Self:
        widest = self.channels * 2**self.stages
        if widest > WIDEST:
            raise ValueError(
                f"channels {self.channels} and stages {self.stages} make stages of up to {widest} channels; "
                f"at most {WIDEST} can be built: lower one of them"
            )
        return self


class ResNetMacro(Macro):
    """Stages of residual or bottleneck blocks; the choices of a stage exist only if the stage does."""

    name: ClassVar[str] = "resnet_macro"
    description: ClassVar[str] = "Residual networks: depth, width, kernel size, stride and block per stage."
    Config: ClassVar[type[BaseModel]] = ResNetMacroConfig
    options_in_encodings: ClassVar[frozenset[str]] = frozenset({"channels"})  # widths are absolute

    def __init__(self, config: ResNetMacroConfig) -> None:
        super().__init__(MacroConfig(description=_describe(config)))
        self.config = config


def _describe(config: ResNetMacroConfig) -> MacroDescription:
    stages = []
    for number in range(config.stages):
        width = config.channels * 2**number
        stages.append(
            StageDescription(
                block=("residual", "bottleneck"),
                depth=tuple(range(1 if number == 0 else 0, config.max_depth + 1)),
                width=(width // 2, width, 2 * width),
                kernel_size=(3, 5),
                stride=(1, 2),
            )
        )
    return MacroDescription(stem_channels=config.channels, stages=tuple(stages))
