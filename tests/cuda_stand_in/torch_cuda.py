"""What `torch.cuda` says of the stand-in: in PyTorch for CPUs it has no device to ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

MEMORY = 8 * 2**30
"""Bytes that the device says it has. Nothing is counted: all of them are always free."""


def install() -> None:
    """For the rest of this process. The library has been loaded."""
    import torch

    library, cuda = torch.ops.cuda_stand_in, torch.cuda
    properties = SimpleNamespace(name="CUDA stand-in", total_memory=MEMORY, major=9, minor=0)
    stream = _Stream()
    answers: dict[str, Any] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "device_count": lambda: 1,
        "_exchange_device": lambda _: 0,
        "_maybe_exchange_device": lambda _: 0,
        "get_device_properties": lambda device=None: properties,
        "get_device_name": lambda device=None: properties.name,
        "default_generators": (library.generator(),),
        "Stream": lambda device=None: stream,
        "current_stream": lambda device=None: stream,
        "stream": _inside,
        "synchronize": lambda device=None: None,
        "is_current_stream_capturing": library.is_recording,
        "CUDAGraph": torch.classes.cuda_stand_in.Graph,
        "graph": _recording,
        "mem_get_info": lambda device=None: (MEMORY, MEMORY),
        "memory_reserved": lambda device=None: 0,
        "memory_allocated": lambda device=None: 0,
        "set_per_process_memory_fraction": lambda fraction, device=None: None,
        "empty_cache": lambda: None,
    }
    for name, answer in answers.items():
        setattr(cuda, name, answer)
    torch._C._cuda_getDevice = lambda: 0  # others have imported `current_device` itself
    torch.UntypedStorage.clone = _cloned  # type: ignore[method-assign]  # the original knows real devices only


class _Stream:
    """All is done in order."""

    def wait_stream(self, stream: "_Stream") -> None:
        pass


@contextmanager
def _inside(_: _Stream) -> Iterator[None]:
    yield


@contextmanager
def _recording(graph: Any, **_: Any) -> Iterator[None]:
    graph.begin()
    try:
        yield
    finally:
        graph.end()


def _cloned(storage: Any) -> Any:
    import torch

    of_bytes = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
    return of_bytes.clone().untyped_storage()
