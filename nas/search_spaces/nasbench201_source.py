"""The network of one NAS-Bench-201 architecture as Python source that needs torch alone.

What all architectures share is the source that trained the network; only the cell is written anew, as the
straight-line program that it comes down to. Its modules have the names of the trained network's.
"""

import inspect

from nas.search_spaces.nasbench201_cell import CellProgram
from nas.search_spaces.nasbench201_network import (
    KERNEL_SIZES,
    Network,
    ReductionBlock,
    relu_conv_bn,
    step_name,
)

_BUILD = '''\
def build_network() -> nn.Module:
    """The network with fresh weights; `load` gives the trained one."""
    return Network(
        Cell,
        channels={channels},
        cells_per_stage={cells_per_stage},
        image_channels={image_channels},
        num_classes={num_classes},
    )
'''

_CELL = '''\
class Cell(nn.Module):
    """The cell that was searched; [B, C, H, W] in and out, height and width kept."""

    def __init__(self, channels: int) -> None:
        {modules}

    def forward(self, x: Tensor) -> Tensor:
        {computation}
'''


def network_source(
    program: CellProgram, *, channels: int, cells_per_stage: int, image_channels: int, num_classes: int
) -> str:
    """Define `build_network` and what it needs; names imported: torch, Tensor, nn, Callable."""
    build = _BUILD.format(
        channels=channels,
        cells_per_stage=cells_per_stage,
        image_channels=image_channels,
        num_classes=num_classes,
    )
    shared = [inspect.getsource(definition) for definition in (ReductionBlock, relu_conv_bn)]
    return "\n\n".join([build, inspect.getsource(Network), cell_source(program), *shared])


def cell_source(program: CellProgram) -> str:
    """A module class that computes `program`, one line per step."""
    modules, computation = ["super().__init__()"], []
    for number, step in enumerate(program.steps, start=1):
        name = step_name(number, step.operation)
        modules.append(f"self.{name} = {_constructor(step.operation)}")
        computation.append(f"x{number} = self.{name}({_sum(step.inputs)})")
    computation.append(f"return {_sum(program.output)}" if program.output else "return x * 0.0")
    indent = "\n" + " " * 8
    return _CELL.format(modules=indent.join(modules), computation=indent.join(computation))


def _constructor(operation: str) -> str:
    if operation == "avg_pool_3x3":
        return "nn.AvgPool2d(kernel_size=3, stride=1, padding=1, count_include_pad=False)"
    return f"relu_conv_bn(channels, channels, kernel_size={KERNEL_SIZES[operation]})"


def _sum(values: tuple[int, ...]) -> str:
    return " + ".join(f"x{value}" if value else "x" for value in values)
