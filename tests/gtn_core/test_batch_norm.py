"""Our batch norm against PyTorch's: values, first and second derivatives, and finite differences."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gtn_core.batch_norm import batch_norm

SHAPES = [(6, 3), (4, 3, 5), (4, 2, 3, 3)]


def inputs(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=rng, dtype=torch.float64) * 2 + 1
    weight, bias = (torch.randn(shape[1], generator=rng, dtype=torch.float64) for _ in range(2))
    return x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_two_derivatives_equal_those_of_torch(shape: tuple[int, ...]) -> None:
    rng = torch.Generator().manual_seed(1)
    target = torch.randn(shape, generator=rng, dtype=torch.float64)
    directions = [torch.randn(part.shape, generator=rng, dtype=torch.float64) for part in inputs(shape)]

    def derivatives(ours: bool) -> list[Tensor]:
        x, weight, bias = inputs(shape)
        y = (
            batch_norm(x, weight, bias, 0.1)
            if ours
            else F.batch_norm(x, None, None, weight, bias, training=True, eps=0.1)
        )
        first = torch.autograd.grad(((y - target) ** 3).sum(), (x, weight, bias), create_graph=True)
        return [y, *first, *torch.autograd.grad(first, (x, weight, bias), directions)]

    torch.testing.assert_close(derivatives(True), derivatives(False), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weight_is_zero", [False, True])
def test_two_derivatives_equal_finite_differences(shape: tuple[int, ...], weight_is_zero: bool) -> None:
    x, weight, bias = inputs(shape)
    if weight_is_zero:
        weight = torch.zeros_like(weight).requires_grad_()

    def normalise(*parts: Tensor) -> Tensor:
        return batch_norm(*parts, 1e-3)

    assert torch.autograd.gradcheck(normalise, (x, weight, bias))
    assert torch.autograd.gradgradcheck(normalise, (x, weight, bias))


def test_without_weight_and_bias_it_only_normalises() -> None:
    x, _, _ = inputs((6, 3))
    torch.testing.assert_close(
        batch_norm(x, None, None, 1e-5), F.batch_norm(x, None, None, training=True, eps=1e-5)
    )
