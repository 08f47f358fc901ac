import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gtn_core import Split, evaluate
from gtn_core.outer_loss import real_loss


def test_the_loss_on_real_data_and_its_gradient_are_those_of_the_batch_at_hand() -> None:
    """Against autograd through a network in training mode, whose running statistics are then its own."""
    torch.manual_seed(0)
    learner = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 5)).double()
    real = Split(torch.randn(20, 1, 4, 4, dtype=torch.float64) + 1, torch.arange(20) % 5)
    before = learner[1].running_mean.clone()

    loss, accuracy = real_loss(learner, dict(learner.named_parameters()), real)
    ours = torch.autograd.grad(loss / 4, list(learner.parameters()))
    assert torch.equal(learner[1].running_mean, before)

    logits = learner.train()(real.images)
    expected = F.cross_entropy(logits, real.labels)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours, torch.autograd.grad(expected / 4, list(learner.parameters())))
    torch.testing.assert_close(accuracy, (logits.argmax(dim=1) == real.labels).float().mean())


def test_a_learner_is_measured_without_dropout() -> None:
    """As it is in validation and as candidates are; it goes on learning with dropout."""
    torch.manual_seed(0)
    learner = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 5)
    )
    real = Split(torch.randn(20, 1, 4, 4), torch.arange(20) % 5)
    loss, accuracy = real_loss(learner, dict(learner.named_parameters()), real)
    assert all(module.training for module in learner.modules())
    expected = evaluate(learner, real, batch_statistics=True)
    assert (loss.item(), accuracy.item()) == pytest.approx((expected.loss, expected.accuracy))
