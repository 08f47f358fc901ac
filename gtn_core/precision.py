"""Faster arithmetic where the device has it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gtn_core.config import Precision
from gtn_core.errors import DeviceError
from gtn_core.layers import channels_last


def autocast(device: torch.device, *, bfloat16: bool) -> torch.autocast:
    """Inside, a network computes in bfloat16 where that is safe; its weights stay float32."""
    # Without the cache: weights change between one forward pass and the next.
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16, cache_enabled=False)


@contextmanager
def arithmetic(precision: Precision, device: str | torch.device) -> Iterator[None]:
    """Inside, float32 products are computed as `precision` says; the process's settings come back after.

    Raises DeviceError when the device has no such arithmetic.
    """
    coarse = precision == "tf32"
    if torch.device(device).type != "cuda":
        if coarse:
            raise DeviceError(
                f'precision "{precision}" needs a CUDA device, not {device}', remedy='set it to "float32"'
            )
        yield
        return
    # By itself PyTorch computes convolutions in TensorFloat-32, and products of matrices in float32.
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = coarse
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def prepared(learner: nn.Module, images: Tensor, precision: Precision) -> nn.Module:
    """A fresh learner as meta-training computes with it, for images [..., C, H, W].

    On colour images convolutions are faster with their weights channels-last: on one CPU core a meta-gradient
    took 9 % less time for a convnet and 15 % less for a NAS-Bench-201 cell, at 16x16; on grey ones 9 % more.

    With "bf16" its forward pass is under mixed precision. The cast is part of the learner, and not of a block
    around it: a meta-gradient calls the learner again in the backward pass, on threads that know of no block.
    """
    if images.shape[-3] > 1:
        learner = channels_last(learner)
    return InBfloat16(learner) if precision == "bf16" else learner


def require_device(device: str | torch.device) -> None:
    """Raise DeviceError where PyTorch finds no GPU for a CUDA device."""
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f'device "{device}" needs a GPU and a PyTorch that finds it', remedy='use "cpu"')


class InBfloat16(nn.Module):
    """A network whose products are taken in bfloat16."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> logits float32 [B, K]."""
        with torch.autocast(images.device.type, dtype=torch.bfloat16, cache_enabled=False):
            logits: Tensor = self.network(images)
        return logits.float()
