"""Gradient norm: how steep the loss of an untrained network is in each of its weights."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.estimators.proxies.untrained import as_in_training


def gradient_norm(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The sum over all weight tensors of the loss gradient's Euclidean norm (Abdelfattah et al., ICLR 2021).

    For images [N, C, H, W] and labels int64 [N].
    """
    weights = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    with as_in_training(network):
        loss = F.cross_entropy(network(images), labels)
    gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return float(sum(gradient.norm() for gradient in gradients))
