import pytest
import torch
from torch import Tensor

from gtn_core.inner_optimizer import SGD, Adam, InnerOptimizer

STEPS = 6


def gradients(step: int, parameters: list[Tensor]) -> list[Tensor]:
    rng = torch.Generator().manual_seed(step)
    return [torch.randn(p.shape, generator=rng, dtype=p.dtype) for p in parameters]


def course(optimizer: InnerOptimizer, learning_rates: list[float], momenta: list[float]) -> list[Tensor]:
    parameters = [torch.ones(3, 2, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)]
    state = optimizer.init(parameters)
    for step in range(STEPS):
        parameters, state = optimizer.update(
            parameters,
            gradients(step, parameters),
            state,
            learning_rate=torch.tensor(learning_rates[step], dtype=torch.float64),
            momentum=torch.tensor(momenta[step], dtype=torch.float64),
        )
    return parameters


def reference(optimizer_class: type[torch.optim.Optimizer], **options: object) -> list[Tensor]:
    parameters = [torch.ones(3, 2, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)]
    optimizer = optimizer_class(parameters, **options)  # type: ignore[call-arg]
    for step in range(STEPS):
        for parameter, gradient in zip(parameters, gradients(step, parameters), strict=True):
            parameter.grad = gradient
        optimizer.step()
    return parameters


def test_sgd_is_torchs_own_when_the_schedule_is_flat() -> None:
    ours = course(SGD(), [0.1] * STEPS, [0.9] * STEPS)
    torch.testing.assert_close(ours, reference(torch.optim.SGD, lr=0.1, momentum=0.9))


def test_adam_is_torchs_own_when_the_schedule_is_flat() -> None:
    ours = course(Adam(epsilon=1e-24), [0.1] * STEPS, [0.8] * STEPS)
    torch.testing.assert_close(ours, reference(torch.optim.Adam, lr=0.1, betas=(0.8, 0.999), eps=1e-12))


def test_sgd_by_hand() -> None:
    optimizer, theta = SGD(), [torch.tensor(1.0)]
    state = optimizer.init(theta)
    one = [torch.tensor(1.0)]
    for learning_rate, momentum in ((0.5, 0.9), (0.1, 0.5)):
        theta, state = optimizer.update(
            theta, one, state, learning_rate=torch.tensor(learning_rate), momentum=torch.tensor(momentum)
        )
    # v: 1, then 0.5 * 1 + 1 = 1.5; theta: 1 - 0.5 * 1 = 0.5, then 0.5 - 0.1 * 1.5 = 0.35
    assert theta[0].item() == pytest.approx(0.35)


@pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=["sgd", "adam"])
def test_a_gradient_of_zero_has_a_finite_derivative(optimizer: InnerOptimizer) -> None:
    parameters, gradient = [torch.ones(2)], torch.zeros(2, requires_grad=True)
    updated, _ = optimizer.update(
        parameters,
        [gradient],
        optimizer.init(parameters),
        learning_rate=torch.tensor(0.1),
        momentum=torch.tensor(0.9),
    )
    torch.autograd.backward(updated[0].sum())
    assert gradient.grad is not None
    assert torch.isfinite(gradient.grad).all()
