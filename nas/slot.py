"""The share of a machine that one worker may use: threads, and memory of a device that others share."""

from __future__ import annotations

from nas.search_spec import Resources

CONTEXT_BYTES = 600 * 2**20
"""Allowance for what a process takes of a GPU beside its tensors: the CUDA context and loaded kernels."""


def prepare_slot(resources: Resources) -> str:
    """Keep this process within its share, and name the device that it evaluates candidates on.

    A process that reserved half of a GPU may allocate half of its memory: what is beyond fails this process's
    candidate, and not whoever asks next.
    """
    import torch

    torch.set_num_threads(threads(resources))
    device = device_of(resources)
    if device == "cuda" and torch.cuda.is_available():  # what does not exist is reported by its first user
        total = torch.cuda.get_device_properties(0).total_memory
        fraction = memory_fraction(resources.gpus_per_candidate, total)
        torch.cuda.set_per_process_memory_fraction(fraction, 0)
    return device


def device_of(resources: Resources) -> str:
    """The device that candidates are evaluated on, as PyTorch names it."""
    return "cuda" if resources.gpus_per_candidate > 0 else "cpu"


def own_device() -> str:
    """The device of a process that shares with nobody: the GPU where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def threads(resources: Resources) -> int:
    """One per reserved core: slots together have no more threads than there are cores."""
    return max(1, int(resources.cpus_per_candidate))


def memory_fraction(gpus: float, total_bytes: int) -> float:
    """The part of a device's memory that tensors of a slot may take, in (0, 1]."""
    if gpus >= 1:
        return 1.0
    return max(gpus - CONTEXT_BYTES / total_bytes, gpus / 4)


def release_memory(device: str) -> None:
    """Give back what PyTorch keeps of a device for later; nothing where that was never used."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
