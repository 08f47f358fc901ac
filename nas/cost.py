"""What a network costs, read from its structure: no weight is made, nothing is computed."""

import math
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nas.search_spaces.base import ImageShape

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """Size of a network and the work of one image's forward pass."""

    params: int
    flops: int  # twice the multiply-adds of convolutions, linear layers and matrix products


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a network: its stem, one of its cells or blocks, its head."""

    name: str  # as in the state dict: "body.3"
    kind: str  # in words: "reduction block"
    params: int
    flops: int  # as in `Cost`; 0 where nothing is counted
    input_shape: tuple[int, ...] | None  # of one image, without the batch: (C, H, W) or (K,)
    output_shape: tuple[int, ...] | None  # both None where the forward pass leaves the part out


def network_cost(build: Callable[[], nn.Module], image_shape: ImageShape) -> Cost:
    """Cost of the network that `build` makes, for one image of `image_shape`; takes milliseconds.

    Both the network and the image are on the meta device, where tensors have shapes and no data, unless the
    constructor needs numbers. What counts as a FLOP is defined by `torch.utils.flop_counter`; element-wise
    work, pools and normalization are not counted.
    """
    return _by_shapes(lambda: _cost(build, image_shape))


def _by_shapes(measure: Callable[[], T]) -> T:
    """The measure on the meta device; on the CPU for networks whose constructors read numbers back."""
    with torch.no_grad():
        try:
            with torch.device("meta"):
                return measure()
        except RuntimeError as error:
            if "meta" not in str(error):
                raise
            return measure()


def _cost(build: Callable[[], nn.Module], image_shape: ImageShape) -> Cost:
    counter = _FlopCounter()
    network = build().eval()
    images = torch.empty(1, *image_shape)
    with counter:
        network(images)
    return Cost(sum(parameter.numel() for parameter in network.parameters()), counter.flops)


def network_parts(build: Callable[[], nn.Module], image_shape: ImageShape) -> tuple[Part, ...]:
    """What each part of a network costs, in the order of the forward pass; together they are its cost.

    Parts are the network's own modules, and those of its containers of blocks. What lies outside of them is
    one more part, "elsewhere".
    """
    return _by_shapes(lambda: _parts(build, image_shape))


def _parts(build: Callable[[], nn.Module], image_shape: ImageShape) -> tuple[Part, ...]:
    counter = _FlopCounter()
    network = build().eval()
    modules = _part_modules(network)
    runs = {name: _Run(counter, module) for name, module in modules.items()}
    with counter:
        network(torch.empty(1, *image_shape))
    order = sorted(modules, key=lambda name: runs[name].place)
    parts = [
        Part(
            name,
            _in_words(name, modules[name]),
            sum(parameter.numel() for parameter in modules[name].parameters()),
            runs[name].flops,
            runs[name].input_shape,
            runs[name].output_shape,
        )
        for name in order
    ]
    params = sum(parameter.numel() for parameter in network.parameters()) - sum(part.params for part in parts)
    flops = counter.flops - sum(part.flops for part in parts)
    return (*parts, Part("", "elsewhere", params, flops, None, None)) if params or flops else tuple(parts)


def _part_modules(network: nn.Module) -> dict[str, nn.Module]:
    """The network's own modules; a list, or a sequence of modules with parts of their own, is opened."""
    found: dict[str, nn.Module] = {}
    for name, module in network.named_children():
        opened = isinstance(module, nn.ModuleList) or (
            isinstance(module, nn.Sequential)
            and any(not isinstance(child, nn.Sequential) and any(child.children()) for child in module)
        )
        if opened:
            found |= {f"{name}.{inner}": child for inner, child in module.named_children()}
        else:
            found[name] = module
    return found


class _Run:
    """Watches a part in the forward pass."""

    def __init__(self, counter: "_FlopCounter", module: nn.Module) -> None:
        self.flops, self.place = 0, math.inf
        self.input_shape: tuple[int, ...] | None = None
        self.output_shape: tuple[int, ...] | None = None
        self._counter, self._before = counter, 0
        module.register_forward_pre_hook(self._begin)
        module.register_forward_hook(self._end)

    def _begin(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._before = self._counter.flops
        self.place = min(self.place, self._counter.calls)
        self._counter.calls += 1  # a part without an operation has its place too
        shapes = [tuple(value.shape[1:]) for value in inputs if isinstance(value, Tensor)]
        self.input_shape = shapes[-1] if shapes else None

    def _end(self, _module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        self.flops += self._counter.flops - self._before
        self.output_shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else None


def _in_words(name: str, module: nn.Module) -> str:
    """`ReductionBlock` as "reduction block"; a sequence has no name but the one it is kept under."""
    if isinstance(module, nn.Sequential):
        return name
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(module).__name__).lower()


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
        self.calls = 0  # of parts, which thereby know their order

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
    # A view or the result of an in-place operation belongs to the tensor it came from: never kept. Nor is
    # what has numbers in it, which constructors may read.
    is_shape = isinstance(result, Tensor) and result.is_meta
    if is_shape and not any(returned.alias_info for returned in func._schema.returns):
        if len(_seen) >= _MAX_SEEN:
            _seen.clear()
        _seen[key] = result, flops
    return result, flops


def _shapes(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    return tuple(_shapes(item) for item in value) if isinstance(value, list | tuple) else value
