"""A stand-in for a CUDA device, for the tests that need one on machines that have none.

    python -m pytest -p tests.cuda_stand_in tests/gtn_core/test_recorded_meta_gradient.py -n 0

Tensors are on `cuda:0`; their memory and arithmetic are the CPU's. It shows:

- which tensors are on which device: operations on tensors of both raise, as on a GPU; so do numbers drawn
  there from a generator of the CPU;
- what a CUDA graph cannot record: copies from the CPU, and numbers that the CPU waits for;
- what a CUDA graph repeats: the operations on the memory that they had when they were recorded. Recording
  computes nothing, and what was made meanwhile is not a number until the first replay;
- memory that is read before it is written: it is not a number;
- derivatives of batch norm as cuDNN has them, and the random numbers of a second generator.

It cannot show anything about kernels: their rounding, their layouts, their speed, or which of them exist. All
is done at once and in order, so that no stream has to wait for another; memory that a graph needs is never
given to others, nor is there too little of it; there is one device, and no NCCL. Processes that a test starts
are without it.

Needs PyTorch for CPUs, a C++ compiler and ninja. The first run builds it, which takes a minute or two.
"""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Before anything imports PyTorch, which asks once what devices there are, when it is imported."""
    from . import library, torch_cuda

    try:
        library.load()
    except library.StandInError as error:
        raise pytest.UsageError(f"no stand-in for a CUDA device: {error}") from error
    torch_cuda.install()
