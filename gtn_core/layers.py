"""Layers of generator and learners: weight normalisation, and normalisation by a batch's own statistics."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils.parametrize import register_parametrization

from gtn_core.batch_norm import batch_norm

LayerT = TypeVar("LayerT", nn.Linear, nn.Conv2d)

LEAK = 0.1
"""Slope of every leaky ReLU below zero."""


def initialised(layer: LayerT, *, weight_normalization: bool) -> LayerT:
    """The layer with weights drawn after He et al. and biases of zero, weight-normalised if asked."""
    nn.init.kaiming_normal_(layer.weight, a=LEAK)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return weight_normalised(layer) if weight_normalization else layer


def weight_normalised(layer: LayerT) -> LayerT:
    """The layer with its weight as length and direction (Salimans & Kingma, 2016)."""
    register_parametrization(layer, "weight", _LengthAndDirection())
    return layer


class _LengthAndDirection(nn.Module):
    """weight = length * direction / |direction|, per output channel.

    `torch.nn.utils.parametrizations.weight_norm` is not used: the second derivative of its fused kernel takes
    |direction| for a constant (torch 2.11 to 2.13), and a meta-gradient is a second derivative.
    """

    def forward(self, length: Tensor, direction: Tensor) -> Tensor:
        return direction * (length / _norm_per_output(direction))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return _norm_per_output(weight), weight


def _norm_per_output(weight: Tensor) -> Tensor:
    return weight.square().sum(dim=tuple(range(1, weight.dim())), keepdim=True).sqrt()


class MeanOnlyBatchNorm(nn.Module):
    """Subtracts the batch's mean per channel and adds a learned bias: weight normalisation's companion.

    There is no running mean: a learner of a dozen steps has none worth keeping.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """[B, C] or [B, C, H, W], and the same."""
        everything_else = [dimension for dimension in range(features.dim()) if dimension != 1]
        bias = self.bias.view(-1, *[1] * (features.dim() - 2))
        return features - features.mean(dim=everything_else, keepdim=True) + bias


def channels_last(network: nn.Module) -> nn.Module:
    """The network, its weights moved in place so that the channels of a pixel lie side by side.

    Weights that lie so already stay where they are, as CUDA graphs need it: `Module.to` moves all of them.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == 4:
            moved = tensor.data.to(memory_format=torch.channels_last)
            if moved.stride() != tensor.stride():
                tensor.data = moved
    return network


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Inside, every module is in evaluation mode: no dropout, and fresh batch norm is the identity."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def batch_statistics(network: nn.Module, *, second_derivative: bool = False) -> Iterator[None]:
    """Inside, batch and instance norm use the statistics of the batch at hand and leave running ones alone.

    With `second_derivative` it is the form whose second derivative is cheap, on the CPU, where that was
    measured; it has no forward derivative.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm | _InstanceNorm)]
    before = [(norm.training, norm.track_running_stats) for norm in norms]
    batch_norms = [norm for norm in norms if isinstance(norm, _BatchNorm)]
    replaced = [norm for norm in batch_norms if second_derivative and _is_batch_norm_alone(norm)]
    # Instance norm would move what running statistics it finds, told to track them or not.
    instance_norms = [norm for norm in norms if isinstance(norm, _InstanceNorm)]
    hidden = [(norm, norm.running_mean, norm.running_var) for norm in instance_norms]
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    for norm, _, _ in hidden:
        norm.running_mean = norm.running_var = None
    for norm in replaced:
        norm.forward = partial(_twice_differentiable, norm)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm, (training, tracking) in zip(norms, before, strict=True):
            norm.training, norm.track_running_stats = training, tracking
        for norm, mean, variance in hidden:
            norm.running_mean, norm.running_var = mean, variance
        for norm in replaced:
            del norm.forward


def _is_batch_norm_alone(norm: _BatchNorm) -> bool:
    """Whether it computes what PyTorch's does: others have an activation in the same layer, for instance."""
    return type(norm).forward is _BatchNorm.forward and "forward" not in vars(norm)


def _twice_differentiable(norm: _BatchNorm, features: Tensor) -> Tensor:
    if features.device.type != "cpu":
        return type(norm).forward(norm, features)
    return batch_norm(features, norm.weight, norm.bias, norm.eps)
