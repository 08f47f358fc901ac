"""The heap of processes that train on a CPU."""

import sys
from collections.abc import Mapping
from ctypes.util import find_library


def heap_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What makes a child process take jemalloc, where it is installed and nothing else is preloaded.

    What an unroll keeps of each inner step leaves holes in the C library's heap that no later step fits into:
    a meta step of 64 inner steps takes 2.5 times the memory there, in the same time
    (`benchmarks/bench_meta_gradient.py`).
    """
    if sys.platform != "linux" or environment.get("LD_PRELOAD"):
        return {}
    library = find_library("jemalloc")
    return {"LD_PRELOAD": library} if library else {}
