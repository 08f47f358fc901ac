"""A worker's share of a machine, and what the errors of its device mean. No GPU is needed: it is acted."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from nas.device_errors import breaks_the_process, is_out_of_memory
from nas.search_spec import Resources
from nas.slot import CONTEXT_BYTES, memory_fraction, prepare_slot, threads

GIB = 2**30


@pytest.mark.parametrize(("cpus", "count"), [(0.25, 1), (1, 1), (2.5, 2), (4, 4)])
def test_slots_together_have_no_more_threads_than_cores(cpus: float, count: int) -> None:
    assert threads(Resources(cpus_per_candidate=cpus)) == count


def test_a_slot_of_cpus_takes_its_threads_and_no_device() -> None:
    code = """
import torch
from nas.search_spec import Resources
from nas.slot import prepare_slot
print(prepare_slot(Resources(cpus_per_candidate=3)), torch.get_num_threads())
"""
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["cpu", "3"]


def test_a_slot_of_a_gpu_is_held_to_its_share_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    fractions = []
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    device = SimpleNamespace(total_memory=24 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: fractions.append(given))

    assert prepare_slot(Resources(gpus_per_candidate=0.25)) == "cuda"
    assert fractions == [(0.25 - CONTEXT_BYTES / (24 * GIB), 0)]


def test_shares_leave_room_for_the_contexts_of_all_slots() -> None:
    for slots in (2, 4, 8):
        fraction = memory_fraction(1 / slots, 24 * GIB)
        assert slots * (fraction * 24 * GIB + CONTEXT_BYTES) == pytest.approx(24 * GIB)
    assert memory_fraction(2, GIB) == 1.0
    assert memory_fraction(0.1, GIB) > 0


CUDA_OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize(
    ("error", "out_of_memory", "broken"),
    [
        (CUDA_OUT_OF_MEMORY, True, False),
        (MemoryError(), True, False),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True, False),
        (torch.AcceleratorError("CUDA error: out of memory"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True, False),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False, True),
        (RuntimeError("CUDA error: device-side assert triggered"), False, True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"), False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), False, False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, False),
        (ValueError("CUDA error in a text"), False, False),
    ],
    ids=str,
)
def test_errors_of_devices_are_told_apart(error: Exception, out_of_memory: bool, broken: bool) -> None:
    assert (is_out_of_memory(error), breaks_the_process(error)) == (out_of_memory, broken)
