"""Three terms of AZ-NAS, read from the feature maps between a network's blocks; the fourth is its FLOPs."""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.estimators.proxies.blocks import feature_maps
from nas.search_spaces.base import ImageShape

EPSILON = 1e-6
ENTROPY_EPSILON = 1e-8
UNTRAINABLE = 2 - 1 / EPSILON
"""Trainability of a block through which no gradient comes, or which does nothing."""


@dataclass(frozen=True, slots=True)
class AzNas:
    """Lee & Ham, "AZ-NAS: Assembling Zero-Cost Proxies", CVPR 2024, equations 1 to 5; higher is better."""

    expressivity: float
    progressivity: float
    trainability: float


def az_nas(
    network: nn.Module, image_shape: ImageShape, *, batch_size: int, generator: torch.Generator
) -> AzNas:
    """The three terms for a batch of Gaussian noise. The weights are drawn anew, after He et al.

    `generator` is a CPU generator. A network of fewer than two feature maps has zeros.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fresh = torch.empty(module.weight.shape)
                module.weight.copy_(nn.init.kaiming_normal_(fresh, nonlinearity="relu", generator=generator))
    device = next(network.parameters()).device
    noise = torch.randn(batch_size, *image_shape, generator=generator).to(device)
    maps = feature_maps(network, noise)
    if len(maps) < 2:
        return AzNas(0.0, 0.0, 0.0)
    entropies = [entropy(features.detach()) for features in maps]
    steps = [trainability(before, after, generator) for before, after in pairwise(maps)]
    return AzNas(
        expressivity=sum(entropies),
        progressivity=min(after - before for before, after in pairwise(entropies)),
        trainability=sum(steps) / len(steps),
    )


def entropy(features: Tensor) -> float:
    """Entropy of the normalised spectrum of the channels' covariance, for [N, C, H, W]; 0 when constant."""
    points = features.permute(0, 2, 3, 1).flatten(0, 2).double()
    points = points - points.mean(dim=0)
    spectrum = torch.linalg.eigvalsh(points.T @ points / len(points)).clamp(min=0)
    total = spectrum.sum()
    if total <= 0:
        return 0.0
    shares = spectrum / total
    return -float((shares * (shares + ENTROPY_EPSILON).log()).sum())


def trainability(before: Tensor, after: Tensor, generator: torch.Generator) -> float:
    """-s - 1/s + 2, s being the spectral norm of the gradients' cross-moment across a block: 0 at s = 1.

    The gradients at the block's output are random signs. A block that hands its input on does nothing.
    """
    if before is after:
        return UNTRAINABLE
    signs = torch.randint(2, after.shape, generator=generator).to(after) * 2 - 1
    (arriving,) = torch.autograd.grad(
        after, before, signs, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    arriving = _folded(arriving, after.shape[2:])
    outgoing = signs.permute(0, 2, 3, 1).flatten(0, 2)  # [N H W, C]
    incoming = arriving.permute(0, 2, 3, 1).flatten(0, 2)
    norm = float(torch.linalg.matrix_norm(incoming.T @ outgoing / len(outgoing), ord=2))
    return -norm - 1 / (norm + EPSILON) + 2


def _folded(gradient: Tensor, size: torch.Size) -> Tensor:
    """A gradient of a larger map at the places of a smaller one, its pixels moved into channels."""
    height, width = gradient.shape[2:]
    stride = max(-(-height // size[0]), -(-width // size[1]))
    if stride == 1:
        return gradient
    padded = F.pad(gradient, (0, size[1] * stride - width, 0, size[0] * stride - height))
    return F.pixel_unshuffle(padded, stride)
