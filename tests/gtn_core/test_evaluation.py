import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gtn_core import DatasetSplits, Split, evaluate


class Constant(nn.Module):
    """Always says class 1, with odds of three to one against each of the others."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([0.0, 3.0, 0.0]).log().clamp(min=0).expand(len(images), 3)


def test_accuracy_and_loss_by_hand() -> None:
    split = Split(torch.zeros(4, 1, 2, 2), torch.tensor([1, 1, 1, 0]))
    measured = evaluate(Constant(), split, batch_size=3)
    # Probabilities are 1/5, 3/5, 1/5: three images cost log(5/3), one costs log 5.
    assert measured.accuracy == 0.75
    assert abs(measured.loss - (3 * torch.log(torch.tensor(5 / 3)) + torch.log(torch.tensor(5.0))) / 4) < 1e-6


def normed(norm: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 10))


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(4), nn.InstanceNorm2d(4, track_running_stats=True)], ids=["batch", "instance"]
)
def test_batch_statistics_are_those_of_the_batch_and_nothing_else_changes(
    norm: nn.Module, digits: DatasetSplits
) -> None:
    network = normed(norm)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    split = digits.validation
    measured = evaluate(network, split, batch_statistics=True, batch_size=len(split))
    assert all(module.training for module in network.modules())
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)

    network[2].eval()  # dropout is off in a measurement
    expected = F.cross_entropy(network(split.images), split.labels).item()
    assert abs(measured.loss - expected) < 1e-5
    assert measured != evaluate(network, split)


def test_a_last_batch_of_one_image_is_avoided(digits: DatasetSplits) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4))
    split = Split(digits.validation.images[:65], digits.validation.labels[:65] % 4)
    assert 0 <= evaluate(network, split, batch_size=64, batch_statistics=True).accuracy <= 1


def test_running_statistics_do_not_depend_on_the_batch_size(digits: DatasetSplits) -> None:
    network = normed(nn.BatchNorm2d(4))
    results = [evaluate(network, digits.validation, batch_size=size) for size in (7, 512)]
    assert abs(results[0].loss - results[1].loss) < 1e-5
    assert results[0].accuracy == results[1].accuracy
