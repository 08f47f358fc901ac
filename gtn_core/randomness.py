"""Seeds that are passed, never global: one integer names a whole tree of independent random streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *path: int | str) -> int:
    """A 63-bit seed for one branch of `seed`'s tree; equal in every process.

    `derive_seed(seed, "learner", step)` and `derive_seed(seed, "real batch", step)` are independent, so that
    any step can be redone without replaying those before it.
    """
    words = [seed]
    for part in path:
        words.extend([len(part), *part.encode()] if isinstance(part, str) else [part])
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))


def torch_generator(seed: int, *path: int | str) -> torch.Generator:
    """A CPU generator at the branch `path` of `seed`'s tree."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *path))


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Inside, `nn.Module`s draw their weights from `seed`; the global generators are as before afterwards.

    `torch.nn.init` knows only the global ones. Build on the CPU, then move: a seed then gives the same
    weights on every device.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every device's, for good
        yield


@contextmanager
def seeded_noise(seed: int, device: str | torch.device) -> Iterator[None]:
    """Inside, what networks on `device` draw in `forward`, as dropout does, comes from `seed`.

    `torch.nn.functional` knows only the global generators, of the CPU and of the CUDA device, which threads
    share; both are as before afterwards. The seed may be that of the network's weights: noise is another
    branch of its tree.
    """
    import torch

    device, noise = torch.device(device), derive_seed(seed, "noise")
    with torch.random.fork_rng(devices=_cuda(device)):
        torch.default_generator.manual_seed(noise)
        for each in _cuda(device):
            with torch.cuda.device(each):
                torch.cuda.manual_seed(noise)
        yield


def remembered_noise(device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """Remember where the generators stand: inside of what is returned, a network draws the same once more.

    Where a CUDA graph is being recorded, which must not ask the device where it stands, nothing is drawn.
    """
    import torch

    if _cuda(device) and torch.cuda.is_current_stream_capturing():
        return nullcontext
    states = torch.get_rng_state(), [torch.cuda.get_rng_state(each) for each in _cuda(device)]

    @contextmanager
    def again() -> Iterator[None]:
        with torch.random.fork_rng(devices=_cuda(device)):
            torch.set_rng_state(states[0])
            for each, state in zip(_cuda(device), states[1], strict=True):
                torch.cuda.set_rng_state(state, each)
            yield

    return again


def _cuda(device: torch.device) -> list[torch.device]:
    """The device, where it has a generator beside the CPU's."""
    return [device] if device.type == "cuda" else []
