"""Batch normalisation whose second derivative is cheap: most of a meta-gradient's time went into it.

PyTorch's own second derivative passes over the activations about twenty times. Written with the projection
P(u) = u - mean(u) - xhat mean(u xhat) that the first derivative already takes, it needs a third of that.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_Parts = tuple[Tensor | None, ...]


def batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    """Normalise [B, C, ...] by the batch's own mean and deviation per channel; twice differentiable."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))  # sums of bfloat16 lose too much
    weight = x.new_ones(x.shape[1]) if weight is None else weight
    bias = x.new_zeros(x.shape[1]) if bias is None else bias
    normalised: Tensor = _Normalise.apply(x, weight, bias, epsilon)  # type: ignore[no-untyped-call]  # torch's
    return normalised


class _Normalise(torch.autograd.Function):
    """y = weight xhat + bias, with xhat = (x - mean) / deviation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
        y, mean, inverse_deviation = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, epsilon)
        ctx.save_for_backward(x, weight, mean, inverse_deviation)
        ctx.epsilon = epsilon
        return y

    @staticmethod
    def backward(ctx: Any, adjoint: Tensor) -> _Parts:
        x, weight, mean, inverse_deviation = ctx.saved_tensors
        parts = _NormaliseBackward.apply(  # type: ignore[no-untyped-call]  # torch's
            adjoint, x, weight, mean, inverse_deviation, ctx.epsilon
        )
        return *parts, None


class _NormaliseBackward(torch.autograd.Function):
    """With r = 1 / deviation: adjoints weight r P(g) of x, sum(g xhat) of weight, sum(g) of bias."""

    @staticmethod
    def forward(
        ctx: Any,
        g: Tensor,
        x: Tensor,
        weight: Tensor,
        mean: Tensor,
        inverse_deviation: Tensor,
        epsilon: float,
    ) -> tuple[Tensor, ...]:
        projected, of_weight, of_bias = _projected(g, x, mean, inverse_deviation, epsilon)
        ctx.save_for_backward(g, x, weight, mean, inverse_deviation, projected, of_weight, of_bias)
        ctx.epsilon = epsilon
        ctx.set_materialize_grads(False)
        return projected * _per_channel(weight, x), of_weight, of_bias

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, a: Tensor | None, b: Tensor | None, c: Tensor | None) -> _Parts:
        """Given adjoints a [like x], b [C] and c [C] of the three outputs: those of g, x and weight.

        They derive F = sum(a weight r P(g)) + b sum(g xhat) + c sum(g), where, n being the images and pixels
        of a channel, r changes with x_i by -r^2 xhat_i / n and u -> r P(u) is the derivative of xhat.
        """
        g, x, weight, mean, r, projected_g, sum_g_xhat, sum_g = ctx.saved_tensors
        n = x.numel() // x.shape[1]
        b = torch.zeros_like(weight) if b is None else b
        c = torch.zeros_like(weight) if c is None else c
        if a is None:
            a = torch.zeros_like(x)
        projected_a, sum_a_xhat, sum_a = _projected(a, x, mean, r, ctx.epsilon)
        everything_else = [dimension for dimension in range(x.dim()) if dimension != 1]
        # mean(a P(g)) by channel
        overlap = ((a * g).sum(everything_else) - (sum_a * sum_g + sum_a_xhat * sum_g_xhat) / n) / n

        def channels(values: Tensor) -> Tensor:
            return _per_channel(values, x)

        of_g = torch.addcmul(channels(c - b * r * mean), x, channels(b * r))
        of_g.addcmul_(projected_a, channels(weight))
        along_xhat = -r * r * weight * overlap
        of_x = torch.addcmul(channels(-along_xhat * r * mean), x, channels(along_xhat * r))
        of_x.addcmul_(projected_a, channels(-weight * r * sum_g_xhat / n))
        of_x.addcmul_(projected_g, channels(b - weight * r * sum_a_xhat / n))
        return of_g, of_x, r * overlap * n, None, None, None


def _projected(
    u: Tensor, x: Tensor, mean: Tensor, inverse_deviation: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """r P(u), sum(u xhat) and sum(u), in one pass of PyTorch's kernel."""
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_batch_norm_backward(
        u, x, torch.ones_like(mean), None, None, mean, inverse_deviation, True, epsilon, [True, True, True]
    )
    return found


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    """[C] -> [C, 1, ...], to meet [B, C, ...]."""
    return values.view(-1, *[1] * (x.dim() - 2))
