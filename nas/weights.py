"""Trained weights as safetensors: bytes out, and strictly back into the network they belong to."""

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from gtn_core.errors import ExportError


def weights_to_bytes(network: nn.Module, metadata: Mapping[str, str] | None = None) -> bytes:
    """Parameters and buffers as one safetensors file; those that share memory are written one by one.

    Raises ExportError for a number that is not finite, but for the infinities of buffers, as masks have them,
    and for what is no tensor.
    """
    trained = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    tensors = {}
    for name, tensor in network.state_dict().items():
        if not isinstance(tensor, Tensor):
            raise ExportError(
                f"the network's state dict holds {name}, a {type(tensor).__name__}; safetensors hold tensors "
                "alone: leave out get_extra_state"
            )
        if tensor.isnan().any() or (name in trained and tensor.isinf().any()):
            raise ExportError(
                f"weight {name} holds numbers that are not finite", remedy="train the network again"
            )
        tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    return save_tensors(tensors, metadata=dict(metadata or {}))


def load_weights(network: nn.Module, content: bytes) -> None:
    """Fill `network` in place. Raises ExportError, with nothing changed, for weights that are not its own."""
    try:
        tensors = load_tensors(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ExportError(f"not a whole safetensors file ({error})", remedy="fetch it again") from error
    expected = network.state_dict()
    missing, unknown = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or unknown:
        raise ExportError(
            f"the weights are those of another network: missing {_some(missing)}; unknown {_some(unknown)}"
        )
    for name, own in expected.items():
        given = tensors[name]
        if given.shape != own.shape or given.dtype != own.dtype:
            raise ExportError(
                f"weight {name} is {given.dtype} {tuple(given.shape)}; the network needs "
                f"{own.dtype} {tuple(own.shape)}"
            )
    network.load_state_dict(tensors)


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) or "none") + rest
