"""What a network costs, read from its structure: no weight is made, nothing is computed."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nas.search_spaces.base import ImageShape


@dataclass(frozen=True, slots=True)
class Cost:
    """Size of a network and the work of one image's forward pass."""

    params: int
    flops: int  # twice the multiply-adds of convolutions, linear layers and matrix products


def network_cost(build: Callable[[], nn.Module], image_shape: ImageShape) -> Cost:
    """Cost of the network that `build` makes, for one image of `image_shape`; takes milliseconds.

    Both the network and the image are on the meta device, where tensors have shapes and no data. What
    counts as a FLOP is defined by `torch.utils.flop_counter`; element-wise work, pools and normalization
    are not counted.
    """
    counter = _FlopCounter()
    with torch.device("meta"), torch.no_grad():
        network = build().eval()
        images = torch.empty(1, *image_shape)
        with counter:
            network(images)
    return Cost(sum(parameter.numel() for parameter in network.parameters()), counter.flops)


_MAX_SEEN = 10_000
_seen: dict[Hashable, tuple[Any, int]] = {}
"""Result and FLOPs by operation and shapes. A memo: on the meta device a result is no more than its shape."""


class _FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Adds up the FLOPs of every operation, as FlopCounterMode does, but runs each kind once.

    The networks of a search repeat a few operations thousands of times, and some take a millisecond to infer
    their shape in Python.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        key = (func, _shapes(args), _shapes(tuple(kwargs.items())))
        result, flops = _seen.get(key) or _run(func, args, kwargs, key)
        self.flops += flops
        return result


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], key: Hashable) -> tuple[Any, int]:
    result = func(*args, **kwargs)
    formula = flop_registry.get(func.overloadpacket)
    flops = formula(*args, **kwargs, out_val=result) if formula else 0
    # A view or the result of an in-place operation belongs to the tensor it came from: never kept.
    if not any(returned.alias_info for returned in func._schema.returns):
        if len(_seen) >= _MAX_SEEN:
            _seen.clear()
        _seen[key] = result, flops
    return result, flops


def _shapes(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype
    return tuple(_shapes(item) for item in value) if isinstance(value, list | tuple) else value
