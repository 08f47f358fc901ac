"""Faster arithmetic where the device has it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gtn_core.config import Precision
from gtn_core.errors import DeviceError


def autocast(device: torch.device, *, bfloat16: bool) -> torch.autocast:
    """Inside, a network computes in bfloat16 where that is safe; its weights stay float32."""
    # Without the cache: weights change between one forward pass and the next.
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16, cache_enabled=False)


@contextmanager
def arithmetic(precision: Precision, device: str | torch.device) -> Iterator[None]:
    """Inside, float32 products are computed as `precision` says; the process's settings come back after.

    Raises DeviceError when the device has no such arithmetic.
    """
    if precision == "float32":
        yield
        return
    if torch.device(device).type != "cuda":
        raise DeviceError(f'precision "{precision}" needs a CUDA device, not {device}; set it to "float32"')
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
