import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.regularization import RegularizedNetwork


class Plain(nn.Module):
    """Its logits are its pixels; one operation, halfway through the network, hands them on."""

    def __init__(self) -> None:
        super().__init__()
        self.operation = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.operation(images).flatten(1)
        return logits

    def drop_path_modules(self) -> list[tuple[nn.Module, float]]:
        return [(self.operation, 0.5)]

    def auxiliary_module(self) -> nn.Module:
        return self.operation


def regularized(**options: float) -> RegularizedNetwork:
    weights = {"drop_path": 0.0, "auxiliary_weight": 0.0} | options
    return RegularizedNetwork(Plain(), (3, 1, 1), 3, seed=0, **weights).train()


def test_what_is_not_dropped_makes_up_for_what_is() -> None:
    network, rng = regularized(drop_path=0.8), torch.Generator().manual_seed(0)
    images, labels = torch.ones(2000, 3, 1, 1), torch.zeros(2000, dtype=torch.int64)
    network.training_loss(images, labels, label_smoothing=0.0, generator=rng, progress=0.5)
    outputs = network(images)
    # Odds of 0.8, at half of the depth and of the training: 0.2.
    assert outputs.unique().tolist() == [0.0, 1.25]
    assert (outputs == 0).float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert torch.equal(outputs.amin(dim=1), outputs.amax(dim=1)), "all or nothing of an image"
    assert torch.equal(network.eval()(images), torch.ones(2000, 3))


def test_the_auxiliary_loss_is_added_with_its_weight() -> None:
    network, rng = regularized(auxiliary_weight=0.4), torch.Generator().manual_seed(0)
    images, labels = torch.randn(8, 3, 1, 1, generator=rng), torch.arange(8) % 3
    loss = network.training_loss(images, labels, label_smoothing=0.1, generator=rng, progress=0.0)
    assert network.auxiliary is not None
    early = F.cross_entropy(network.auxiliary(images), labels, label_smoothing=0.1)
    torch.testing.assert_close(
        loss, F.cross_entropy(images.flatten(1), labels, label_smoothing=0.1) + 0.4 * early
    )
