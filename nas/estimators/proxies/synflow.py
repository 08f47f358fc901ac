"""SynFlow: how much the weights, all made positive, let flow from an input of ones to the outputs."""

import math
import sys

import torch
from torch import nn
from torch.func import functional_call

from gtn_core.layers import evaluation_mode
from nas.search_spaces.base import ImageShape


def synflow(network: nn.Module, image_shape: ImageShape) -> float:
    """The logarithm of sum(w dR/dw) over all weights, R being the sum of the outputs for one image of ones.

    Tanaka et al., "Pruning neural networks without any data", NeurIPS 2020, equation 3; summed over a network
    by Abdelfattah et al., ICLR 2021. In float64, since the flow grows exponentially with depth, and without
    batch normalization, whose fresh running statistics are the identity. A network without flow gets the
    logarithm of the smallest double.
    """
    parameters = {
        name: parameter.detach().double().abs().requires_grad_()
        for name, parameter in network.named_parameters()
    }
    buffers = {
        name: buffer.double() if buffer.is_floating_point() else buffer
        for name, buffer in network.named_buffers()
    }
    device = next(iter(parameters.values())).device
    ones = torch.ones(1, *image_shape, dtype=torch.float64, device=device)
    with evaluation_mode(network):
        flow = functional_call(network, parameters | buffers, ones).sum()
    weights = [parameter for parameter in parameters.values() if parameter.dim() > 1]
    gradients = torch.autograd.grad(flow, weights, allow_unused=True, materialize_grads=True)
    saliency = sum(
        float((weight.detach() * gradient).sum()) for weight, gradient in zip(weights, gradients, strict=True)
    )
    return math.log(max(saliency, sys.float_info.min))
