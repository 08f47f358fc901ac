"""Trained weights as safetensors: bytes out, and strictly back into the network they belong to."""

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from gtn_core.errors import ExportError


def weights_to_bytes(network: nn.Module, metadata: Mapping[str, str] | None = None) -> bytes:
    """Parameters and buffers as one safetensors file. Raises ExportError when a number is not finite."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ExportError(f"weight {name} holds numbers that are not finite; train the network again")
    return save_tensors(tensors, metadata=dict(metadata or {}))


def load_weights(network: nn.Module, content: bytes) -> None:
    """Fill `network` in place. Raises ExportError, with nothing changed, for weights that are not its own."""
    try:
        tensors = load_tensors(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ExportError(f"not a whole safetensors file ({error}); fetch it again") from error
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
