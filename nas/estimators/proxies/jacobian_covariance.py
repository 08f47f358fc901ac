"""Jacobian covariance: how differently an untrained network's outputs depend on different images."""

import torch
from torch import Tensor, nn

from nas.estimators.proxies.untrained import as_in_training

STABILISER = 1e-5


def jacobian_covariance(network: nn.Module, images: Tensor) -> float:
    """Minus the sum of log(v + k) + 1 / (v + k) over the eigenvalues v of the Jacobians' correlations.

    Mellor et al., "Neural Architecture Search without Training" (first version, 2020), k = 1e-5: highest when
    the gradients of the summed logits with respect to the images [N, C, H, W] are uncorrelated.
    """
    images = images.detach().requires_grad_()
    with as_in_training(network):
        (jacobian,) = torch.autograd.grad(network(images).sum(), images)
    return correlation_score(jacobian.flatten(1).double())


def correlation_score(rows: Tensor) -> float:
    """The score of N rows, float64 [N, D]; a constant row correlates with no other."""
    centred = rows - rows.mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    directions = centred / norms.clamp(min=torch.finfo(rows.dtype).tiny)
    eigenvalues = torch.linalg.eigvalsh(directions @ directions.T).clamp(min=0) + STABILISER
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())
