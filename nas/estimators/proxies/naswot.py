"""NASWOT: how differently an untrained network's rectifiers respond to different images."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nas.estimators.proxies.untrained import as_in_training

SMALLEST_EIGENVALUE = 1e-6
"""Keeps the determinant of images with equal codes above zero."""


def naswot(network: nn.Module, images: Tensor) -> float:
    """The log-determinant of the kernel of binary activation codes, for images [N, C, H, W].

    Mellor et al., "Neural Architecture Search without Training", ICML 2021, equation 2: entry (i, j) of the
    kernel is the number of rectified units that images i and j switch alike.
    """
    eigenvalues = torch.linalg.eigvalsh(activation_kernel(network, images))
    return float(eigenvalues.clamp(min=SMALLEST_EIGENVALUE).log().sum())


@torch.no_grad()
def activation_kernel(network: nn.Module, images: Tensor) -> Tensor:
    """Units that each two images switch alike, float64 [N, N]; all zero without rectifiers."""
    recorder = _Rectifiers(len(images), images.device)
    with as_in_training(network), recorder:
        network(images)
    return recorder.agreements


class _Rectifiers(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Sees every ReLU of a forward pass, whether it is a module or a function."""

    def __init__(self, count: int, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.agreements = torch.zeros(count, count, dtype=torch.float64, device=device)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (torch.ops.aten.relu.default, torch.ops.aten.relu_.default):
            # With codes of +1 and -1, a product is the agreements less the disagreements.
            codes = (args[0].flatten(1) > 0).float() * 2 - 1
            units = codes.shape[1]
            self.agreements += (units + (codes @ codes.T).double()) / 2
        return func(*args, **(kwargs or {}))
