"""The feature maps that a network's primary blocks hand to each other."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from nas.estimators.proxies.untrained import as_in_training


def feature_maps(network: nn.Module, images: Tensor) -> list[Tensor]:
    """What every primary block puts out for images [N, C, H, W], in the order of computation.

    Only maps [N, C', H', W'] of more than one place count; they are in one graph of derivatives.
    """
    maps: list[Tensor] = []

    def record(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and output[0, 0].numel() > 1:
            maps.append(output)

    hooks = [block.register_forward_hook(record) for block in primary_blocks(network)]
    try:
        with as_in_training(network):
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return maps


def primary_blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The network's parts: its children, or theirs where one is but a list of larger modules."""
    for child in network.children():
        listing = isinstance(child, nn.Sequential | nn.ModuleList)
        if listing and any(list(grandchild.children()) for grandchild in child.children()):
            yield from primary_blocks(child)
        else:
            yield child
