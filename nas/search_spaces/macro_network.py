"""Networks made of stages of blocks; needs torch alone, and is exported as it stands."""

from torch import Tensor, nn

BlockSpec = tuple[str, int, int, int, int]
"""Kind, width (output channels), kernel size, stride, expansion (of an inverted residual; else 0)."""


class Network(nn.Module):
    """Stem, blocks in a row, and a linear head.

    Maps images float32 [B, image_channels, H, W] to logits float32 [B, num_classes].
    """

    def __init__(
        self, blocks: list[BlockSpec], *, stem_channels: int, image_channels: int, num_classes: int
    ) -> None:
        super().__init__()
        self.stem = conv_bn(image_channels, stem_channels, 3, activates=True)
        body, width = [], stem_channels
        for kind, block_width, kernel_size, stride, expansion in blocks:
            body.append(Block(kind, width, block_width, kernel_size, stride, expansion))
            width = block_width
        self.body = nn.Sequential(*body)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] to logits [B, K]."""
        logits: Tensor = self.head(self.body(self.stem(images)))
        return logits

    def drop_path_modules(self) -> list[tuple[nn.Module, float]]:
        """Residual branches, which drop-path may silence, each with its depth in (0, 1]."""
        blocks = [block for block in self.body if isinstance(block, Block)]
        return [
            (block.branch, number / len(blocks))
            for number, block in enumerate(blocks, start=1)
            if block.shortcut is not None
        ]


class Block(nn.Module):
    """One block; [B, C, H, W] to [B, width, ceil(H / stride), ceil(W / stride)].

    `plain` is a convolution and `depthwise_separable` one in two parts; `residual` and `bottleneck` are those
    of He et al. (CVPR 2016), the latter a quarter as wide inside; `inverted_residual` is that of MobileNetV2
    (Sandler et al., CVPR 2018), `expansion` times as wide inside as its input.
    """

    def __init__(
        self, kind: str, in_channels: int, width: int, kernel_size: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        self.shortcut: nn.Module | None = None
        self.activation: nn.Module = nn.Identity()
        if kind == "plain":
            self.branch = conv_bn(in_channels, width, kernel_size, stride, activates=True)
        elif kind == "depthwise_separable":
            self.branch = nn.Sequential(
                *conv_bn(in_channels, in_channels, kernel_size, stride, groups=in_channels, activates=True),
                *conv_bn(in_channels, width, 1, activates=True),
            )
        elif kind == "inverted_residual":
            inner = expansion * in_channels
            self.branch = nn.Sequential(
                *conv_bn(in_channels, inner, 1, activates=True),
                *conv_bn(inner, inner, kernel_size, stride, groups=inner, activates=True),
                *conv_bn(inner, width, 1),
            )
            if stride == 1 and in_channels == width:
                self.shortcut = nn.Identity()
        elif kind == "residual":
            self.branch = nn.Sequential(
                *conv_bn(in_channels, width, kernel_size, stride, activates=True),
                *conv_bn(width, width, kernel_size),
            )
            self.shortcut, self.activation = projection(in_channels, width, stride), nn.ReLU()
        elif kind == "bottleneck":
            inner = max(1, width // 4)
            self.branch = nn.Sequential(
                *conv_bn(in_channels, inner, 1, activates=True),
                *conv_bn(inner, inner, kernel_size, stride, activates=True),
                *conv_bn(inner, width, 1),
            )
            self.shortcut, self.activation = projection(in_channels, width, stride), nn.ReLU()
        else:
            raise ValueError(f"unknown block {kind!r}")

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, width, H', W']."""
        output = self.branch(x) if self.shortcut is None else self.shortcut(x) + self.branch(x)
        activated: Tensor = self.activation(output)
        return activated


def projection(in_channels: int, width: int, stride: int) -> nn.Module:
    """A residual block's way around its branch."""
    if stride == 1 and in_channels == width:
        return nn.Identity()
    return conv_bn(in_channels, width, 1, stride)


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    *,
    groups: int = 1,
    activates: bool = False,
) -> nn.Sequential:
    """Convolution without bias, batch normalization, ReLU if it activates."""
    layers: list[nn.Module] = [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if activates else nn.Sequential(*layers)
