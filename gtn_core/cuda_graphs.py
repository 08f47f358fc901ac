"""Computations that a CUDA device records once and repeats, without Python or kernel launches in between.

It pays where launching kernels takes longer than running them. On the CPU nothing is recorded: the same
computation, on the same tensors, is done again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch

WARM_UP_RUNS = 3
"""Runs before recording: libraries choose and load their kernels in them."""

Computation = Callable[[], None]
"""Reads and writes tensors that keep their place in memory; has no arguments and no result."""


@contextmanager
def warm_up_stream(device: torch.device) -> Iterator[None]:
    """Inside, the work before a recording is on a stream of its own, as CUDA asks for."""
    stream = _stream(device)
    with torch.cuda.device(device):
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            yield
        torch.cuda.current_stream().wait_stream(stream)


def record(computation: Computation, device: torch.device) -> Computation:
    """What repeats a computation that has been warmed up; nothing is computed here."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph):
        computation()
    return graph.replay


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all warm-ups: libraries keep a workspace for each stream that they have seen, for good."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's omission
