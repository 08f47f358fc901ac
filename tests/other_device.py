"""A device beside the CPU for machines without a GPU: where tensors are, and what would wait for what."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READS = {torch.ops.aten._local_scalar_dense.default}
COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class OtherDevice(TorchDispatchMode):
    """The `meta` device, whose tensors have shapes and no numbers, in the part of a GPU.

    An operation on tensors of both devices raises, as it would on a GPU; numbers that come from there are
    made up.
    """

    device = torch.device("meta")

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0
        """How often the CPU waited for a number, or tensors were copied from one device to the other."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        if func in COPIES:
            return self._copied(func, tensors, args, kwargs)
        here = [each for each in tensors if each.device == self.device]
        there = [each for each in tensors if each.device != self.device]
        if func in READS and here:
            self.waits += 1
            return 0.5 if here[0].is_floating_point() else 1
        if here and any(each.dim() for each in there):  # a single number goes along with the others
            raise AssertionError(f"{func} on tensors of {self.device} and {there[0].device}")
        return func(*args, **kwargs)

    def _copied(
        self, func: Any, tensors: list[torch.Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        target, source = torch.device(kwargs.get("device") or tensors[0].device), tensors[-1]
        if target == source.device:
            return func(*args, **kwargs)
        self.waits += 1
        if target == self.device:
            return func(*args, **kwargs)
        if len(tensors) == 2:
            return tensors[0].fill_(0.5)
        return torch.full(source.shape, 0.5, dtype=kwargs.get("dtype") or source.dtype)

    def waits_in(self, monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> list[int]:
        """A list to which every later call of the method adds how often it waited."""
        waits: list[int] = []
        original = getattr(owner, method)

        def counted(*args: Any) -> Any:
            before = self.waits
            result = original(*args)
            waits.append(self.waits - before)
            return result

        monkeypatch.setattr(owner, method, counted)
        return waits
