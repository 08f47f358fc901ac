"""The network that NAS-Bench-201 (Dong & Yang, ICLR 2020) builds around a cell."""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor, nn

from nas.search_spaces.nasbench201_cell import CellProgram

KERNEL_SIZES = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


class Network(nn.Module):
    """Stem, three stages of cells with a reduction block between them, and a linear head.

    Maps images float32 [B, image_channels, H, W] to logits float32 [B, num_classes].
    """

    def __init__(
        self,
        cell: Callable[[int], nn.Module],
        *,
        channels: int,
        cells_per_stage: int,
        image_channels: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        stage_widths = (channels, 2 * channels, 4 * channels)
        body: list[nn.Module] = []
        for stage, width in enumerate(stage_widths):
            if stage > 0:
                body.append(ReductionBlock(stage_widths[stage - 1], width))
            body.extend(cell(width) for _ in range(cells_per_stage))
        self.body = nn.Sequential(*body)
        self.head = nn.Sequential(
            nn.BatchNorm2d(stage_widths[-1]),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(stage_widths[-1], num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] to logits [B, K]."""
        logits: Tensor = self.head(self.body(self.stem(images)))
        return logits


class ReductionBlock(nn.Module):
    """A residual block that halves height and width."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            relu_conv_bn(in_channels, out_channels, kernel_size=3, stride=2),
            relu_conv_bn(out_channels, out_channels, kernel_size=3),
        )
        # ceil_mode: an odd height or width halves to the same size on both paths.
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(kernel_size=2, ceil_mode=True),
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C', ceil(H/2), ceil(W/2)]."""
        output: Tensor = self.shortcut(x) + self.convolutions(x)
        return output


def relu_conv_bn(in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """The benchmark's convolution: ReLU, convolution without bias, batch normalization."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
        ),
        nn.BatchNorm2d(out_channels),
    )


class Cell(nn.Module):
    """Runs a cell's program; [B, C, H, W] in and out, height and width kept."""

    def __init__(self, program: CellProgram, channels: int) -> None:
        super().__init__()
        self.program = program
        for number, step in enumerate(program.steps, start=1):
            self.add_module(step_name(number, step.operation), step_module(step.operation, channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same."""
        values = [x]
        for step, module in zip(self.program.steps, self.children(), strict=True):
            values.append(module(_total(values, step.inputs)))
        # Not zeros_like: what comes before an empty cell keeps its place in the autograd graph.
        return _total(values, self.program.output) if self.program.output else x * 0.0


def step_name(number: int, operation: str) -> str:
    """What the module of step `number` is called in the network's state dict."""
    return f"{'pool' if operation == 'avg_pool_3x3' else 'conv'}{number}"


def step_module(operation: str, channels: int) -> nn.Module:
    """The module of an operation that computes something."""
    if operation == "avg_pool_3x3":
        return nn.AvgPool2d(kernel_size=3, stride=1, padding=1, count_include_pad=False)
    return relu_conv_bn(channels, channels, kernel_size=KERNEL_SIZES[operation])


def _total(values: list[Tensor], numbers: tuple[int, ...]) -> Tensor:
    return reduce(torch.add, (values[number] for number in numbers))
