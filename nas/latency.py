"""How long a network takes for a forward pass: measured, so it belongs to the device that it names."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pydantic import Field

from gtn_core.strict_model import StrictModel
from nas.search_spaces.base import ImageShape

if TYPE_CHECKING:
    import torch
    from torch import nn

WARM_UP = 3
"""Forward passes before the clock counts."""


class LatencySetting(StrictModel):
    """How latency is measured, on the device that evaluates candidates and its share of the cores."""

    batch_size: int = Field(1, ge=1, le=4096, description="Images of a forward pass.")
    repeats: int = Field(20, ge=1, le=10_000, description="Timed passes, of which the median counts.")


def latency_ms(
    network: nn.Module, image_shape: ImageShape, setting: LatencySetting, device: torch.device
) -> float:
    """Median milliseconds of a forward pass in evaluation mode, on random images [B, C, H, W]."""
    import torch

    network = network.to(device).eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(setting.batch_size, *image_shape, generator=generator).to(device)
    times = []
    with torch.no_grad():
        for _ in range(WARM_UP + setting.repeats):
            _finish(device)
            start = time.perf_counter()
            network(images)
            _finish(device)
            times.append(time.perf_counter() - start)
    return 1000 * median(times[WARM_UP:])


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's with the threads that PyTorch uses."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{_processor()}, {torch.get_num_threads()} thread(s)"


def _finish(device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
