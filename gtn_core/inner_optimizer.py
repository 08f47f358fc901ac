"""The optimizers of a learner, differentiable: state is passed in and returned, nothing is done in place.

The same updates serve the differentiable unroll and the scoring of candidates, so that a candidate is stepped
exactly as the learners for which the curriculum was made.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from gtn_core.config import InnerOptimizerName, MetaTrainingConfig

Tensors = list[Tensor]


def get_inner_optimizer(name: InnerOptimizerName) -> "InnerOptimizer":
    """The optimizer of that name."""
    return SGD() if name == "sgd" else Adam()


class InnerOptimizer(Protocol):
    """An (init, update) pair over flat lists of tensors."""

    def init(self, parameters: Sequence[Tensor]) -> Tensors:
        """The state before the first step."""
        ...

    def update(
        self,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor],
        state: Sequence[Tensor],
        *,
        learning_rate: Tensor,
        momentum: Tensor,
    ) -> tuple[Tensors, Tensors]:
        """Parameters and state after one step; `learning_rate` and `momentum` are this step's scalars."""
        ...


class SGD:
    """v <- momentum * v + g;  theta <- theta - learning_rate * v."""

    def init(self, parameters: Sequence[Tensor]) -> Tensors:
        """Velocities of zero."""
        return [torch.zeros_like(parameter) for parameter in parameters]

    def update(
        self,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor],
        state: Sequence[Tensor],
        *,
        learning_rate: Tensor,
        momentum: Tensor,
    ) -> tuple[Tensors, Tensors]:
        """One step of SGD with momentum; the state is one velocity per parameter."""
        velocities = [momentum * v + g for v, g in zip(state, gradients, strict=True)]
        return [p - learning_rate * v for p, v in zip(parameters, velocities, strict=True)], velocities


class Adam:
    """Adam (Kingma & Ba, 2015) whose first decay rate is the step's momentum.

    Both averages are divided by the sum of their weights, which for constant rates is Adam's bias correction.
    Epsilon stands under the root, whose derivative at zero would be infinite.
    """

    def __init__(self, second_decay: float = 0.999, epsilon: float = 1e-8) -> None:
        self.second_decay, self.epsilon = second_decay, epsilon

    def init(self, parameters: Sequence[Tensor]) -> Tensors:
        """First moments, second moments, and the products of the decay rates so far."""
        zeros = [torch.zeros_like(parameter) for parameter in parameters]
        return [*zeros, *zeros, *parameters[0].new_ones(2)]

    def update(
        self,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor],
        state: Sequence[Tensor],
        *,
        learning_rate: Tensor,
        momentum: Tensor,
    ) -> tuple[Tensors, Tensors]:
        """One step of Adam."""
        count = len(parameters)
        first, second, (first_product, second_product) = state[:count], state[count:-2], state[-2:]
        decay = self.second_decay
        first = [momentum * m + (1 - momentum) * g for m, g in zip(first, gradients, strict=True)]
        second = [decay * v + (1 - decay) * g * g for v, g in zip(second, gradients, strict=True)]
        first_product, second_product = first_product * momentum, second_product * decay
        scale = learning_rate / (1 - first_product)
        updated = [
            p - scale * m / torch.sqrt(v / (1 - second_product) + self.epsilon)
            for p, m, v in zip(parameters, first, second, strict=True)
        ]
        return updated, [*first, *second, first_product, second_product]


class InnerSchedule(nn.Module):
    """A learned learning rate and momentum per inner step, both positive and the momentum below one."""

    def __init__(self, config: MetaTrainingConfig) -> None:
        super().__init__()
        self.inner_optimizer = config.inner_optimizer
        steps, momentum = config.inner_steps, config.initial_momentum
        self.log_learning_rates = nn.Parameter(torch.full((steps,), math.log(config.initial_learning_rate)))
        # log(m / (1 - m)): a step in it scales the odds, so that the momentum never leaves (0, 1).
        self.momentum_logits = nn.Parameter(torch.full((steps,), math.log(momentum / (1 - momentum))))
        self.requires_grad_(config.learned_schedule)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Learning rates [T] and momenta [T]."""
        return self.log_learning_rates.exp(), self.momentum_logits.sigmoid()
