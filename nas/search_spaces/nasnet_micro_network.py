"""The network around the cells of the ENAS/NAO micro space; needs torch alone, and is exported as it stands.

Pham et al., "Efficient Neural Architecture Search" (ICML 2018), with the operations of Luo et al., "Neural
Architecture Optimization" (NeurIPS 2018), as Such et al. (ICML 2020) search it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Branch = tuple[str, int]
"""An operation and the number of the state that it reads: 0 and 1 are the cell's inputs, 2... its nodes."""

Nodes = tuple[tuple[Branch, Branch], ...]


class Network(nn.Module):
    """Stem of three times the channels, then stages of normal cells with a reduction cell between them.

    Maps images float32 [B, image_channels, H, W] to logits float32 [B, num_classes].
    """

    def __init__(
        self,
        normal: Nodes,
        reduction: Nodes,
        *,
        channels: int,
        cells_per_stage: int,
        image_channels: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, 3 * channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(3 * channels),
        )
        cells: list[Cell] = []
        widths, halved = (3 * channels, 3 * channels), False
        for stage in range(3):
            kinds = [True] * (stage > 0) + [False] * cells_per_stage
            for reduces in kinds:
                nodes = reduction if reduces else normal
                cell = Cell(nodes, widths, channels * 2**stage, reduces=reduces, after_reduction=halved)
                widths, halved = (widths[1], cell.width), reduces
                cells.append(cell)
        self.cells = nn.ModuleList(cells)
        self.head = nn.Sequential(
            nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[1], num_classes)
        )
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.kaiming_normal_(parameter)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] to logits [B, K]."""
        before = last = self.stem(images)
        for cell in self.cells:
            before, last = last, cell(before, last)
        logits: Tensor = self.head(last)
        return logits

    def drop_path_modules(self) -> list[tuple[nn.Module, float]]:
        """Operations that drop-path may silence, each with its cell's depth in (0, 1]."""
        cells = [module for module in self.cells if isinstance(module, Cell)]
        return [
            (operation, number / len(cells))
            for number, cell in enumerate(cells, start=1)
            for operation in cell.operations
            if not isinstance(operation, nn.Identity)
        ]

    def auxiliary_module(self) -> nn.Module:
        """The second reduction cell: an auxiliary classifier reads its output."""
        return [cell for cell in self.cells if cell.reduces][-1]


class Cell(nn.Module):
    """Nodes that add two operations each, on two inputs [B, ., ., .] that are brought to one size."""

    def __init__(
        self, nodes: Nodes, widths: tuple[int, int], channels: int, *, reduces: bool, after_reduction: bool
    ) -> None:
        super().__init__()
        self.nodes, self.reduces = nodes, reduces
        used = {source for node in nodes for _, source in node}
        self.loose = [state for state in range(len(nodes) + 2) if state not in used]
        self.width = channels * len(self.loose)
        self.calibrations = nn.ModuleList(
            [calibration(widths[0], channels, halves=after_reduction), calibration(widths[1], channels)]
        )
        self.operations = nn.ModuleList(
            OPERATIONS[operation](channels, 2 if reduces and source < 2 else 1)
            for node in nodes
            for operation, source in node
        )
        # An input that no node reads is passed on, in a reduction cell at half its size.
        self.ends = nn.ModuleList(
            FactorizedReduction(channels, channels) if reduces and state < 2 else nn.Identity()
            for state in self.loose
        )

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        """Outputs of the cell before the previous one and of the previous one, to [B, width, H', W']."""
        states = [self.calibrations[0](before), self.calibrations[1](last)]
        for number, ((_, first), (_, second)) in enumerate(self.nodes):
            left, right = self.operations[2 * number], self.operations[2 * number + 1]
            states.append(left(states[first]) + right(states[second]))
        return torch.cat(
            [end(states[state]) for end, state in zip(self.ends, self.loose, strict=True)], dim=1
        )


class FactorizedReduction(nn.Module):
    """Halves height and width: two 1x1 convolutions, one of them on the pixels that the other leaves out."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.even = nn.Conv2d(in_channels, half, kernel_size=1, stride=2, bias=False)
        self.odd = nn.Conv2d(in_channels, out_channels - half, kernel_size=1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C', ceil(H/2), ceil(W/2)]."""
        x = x.relu()
        shifted = nn.functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        output: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))
        return output


def calibration(in_channels: int, channels: int, *, halves: bool = False) -> nn.Module:
    """Brings a cell's input to the size and the channels of its other states."""
    if halves:
        return FactorizedReduction(in_channels, channels)
    return nn.Identity() if in_channels == channels else relu_conv_bn(in_channels, channels, (1, 1))


def relu_conv_bn(
    in_channels: int, channels: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)
) -> nn.Sequential:
    """ReLU, convolution without bias, batch normalization."""
    padding = kernel[0] // 2, kernel[1] // 2
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(in_channels, channels, kernel, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(channels),
    )


def identity(channels: int, stride: int) -> nn.Module:
    """The input itself, or a factorized reduction of it."""
    return nn.Identity() if stride == 1 else FactorizedReduction(channels, channels)


def square_convolution(size: int) -> Callable[[int, int], nn.Module]:
    """A convolution of size x size."""
    return lambda channels, stride: relu_conv_bn(channels, channels, (size, size), (stride, stride))


def split_convolution(size: int) -> Callable[[int, int], nn.Module]:
    """A convolution of 1 x size, then one of size x 1."""
    return lambda channels, stride: nn.Sequential(
        *relu_conv_bn(channels, channels, (1, size), (1, stride)),
        *relu_conv_bn(channels, channels, (size, 1), (stride, 1)),
    )


def pool(kind: Callable[..., nn.Module], size: int, **options: bool) -> Callable[[int, int], nn.Module]:
    """A pool of size x size that keeps height and width at stride 1."""

    def build(_: int, stride: int) -> nn.Module:
        if size % 2:
            return kind(size, stride=stride, padding=size // 2, **options)
        # Repeating the last row and column changes neither a maximum nor a mean over what is there.
        return nn.Sequential(nn.ReplicationPad2d((0, 1, 0, 1)), kind(size, stride=stride))

    return build


OPERATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "identity": identity,
    "conv_1x1": square_convolution(1),
    "conv_3x3": square_convolution(3),
    "conv_1x3_3x1": split_convolution(3),
    "conv_1x7_7x1": split_convolution(7),
    "max_pool_2x2": pool(nn.MaxPool2d, 2),
    "max_pool_3x3": pool(nn.MaxPool2d, 3),
    "max_pool_5x5": pool(nn.MaxPool2d, 5),
    "avg_pool_2x2": pool(nn.AvgPool2d, 2),
    "avg_pool_3x3": pool(nn.AvgPool2d, 3, count_include_pad=False),
    "avg_pool_5x5": pool(nn.AvgPool2d, 5, count_include_pad=False),
}
"""Each operation makes a module from channels and stride."""
