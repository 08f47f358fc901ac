import pytest
import torch
from torch import nn
from torch.func import functional_call

from gtn_core.layers import (
    MeanOnlyBatchNorm,
    batch_statistics,
    channels_last,
    initialised,
    weight_normalised,
)


def test_weights_that_lie_channels_last_stay_where_they_are() -> None:
    """A recorded CUDA graph goes on reading where they were; lengths of one element a filter count, too."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), weight_normalised(nn.Conv2d(4, 5, 1)), nn.BatchNorm2d(5))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    channels_last(network)
    assert network.get_parameter("0.weight").is_contiguous(memory_format=torch.channels_last)
    places = {name: tensor.data_ptr() for name, tensor in network.state_dict().items()}
    channels_last(network)
    assert {name: tensor.data_ptr() for name, tensor in network.state_dict().items()} == places
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("layer", [nn.Linear(3, 4), nn.Conv2d(3, 4, 2)], ids=["linear", "convolution"])
def test_weight_normalisation_differentiates_twice(layer: nn.Module) -> None:
    layer = weight_normalised(layer).double()  # type: ignore[type-var]
    names, values = zip(*layer.named_parameters(), strict=True)
    inputs = torch.randn(2, 3, dtype=torch.float64)
    if isinstance(layer, nn.Conv2d):
        inputs = torch.randn(2, 3, 2, 2, dtype=torch.float64)

    def outputs(*parameters: torch.Tensor) -> torch.Tensor:
        return functional_call(layer, dict(zip(names, parameters, strict=True)), inputs)

    assert len(values) == 3  # bias, length, direction
    assert torch.autograd.gradcheck(outputs, values)
    assert torch.autograd.gradgradcheck(outputs, values)


@pytest.mark.parametrize("weight_normalization", [False, True])
def test_weights_are_drawn_after_he_and_biases_are_zero(weight_normalization: bool) -> None:
    torch.manual_seed(0)
    layer = initialised(nn.Conv2d(8, 400, 3), weight_normalization=weight_normalization)
    # The variance is 2 / (1 + 0.1 squared) / 72: what a leaky ReLU takes, and 8 x 3 x 3 inputs.
    assert layer.weight.std().item() == pytest.approx((2 / 1.01 / 72) ** 0.5, rel=0.02)
    assert not layer.bias.any()


def test_the_length_of_a_weight_is_its_own_parameter() -> None:
    layer = weight_normalised(nn.Linear(3, 4))
    length, direction = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    torch.testing.assert_close(layer.weight.norm(dim=1), length.flatten())
    with torch.no_grad():
        direction *= 7
    torch.testing.assert_close(layer.weight.norm(dim=1), length.flatten())


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4, 2)])
def test_mean_only_normalisation(shape: tuple[int, ...]) -> None:
    layer = MeanOnlyBatchNorm(3)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    features = torch.randn(shape) * 5 + 2
    normalised = layer(features)
    dims = [0] if len(shape) == 2 else [0, 2, 3]
    torch.testing.assert_close(normalised.mean(dim=dims), torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(normalised.std(dim=dims), features.std(dim=dims))


def test_batch_statistics_come_back_even_after_an_error() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm1d(2, track_running_stats=False)).eval()

    def fail_inside() -> None:
        with batch_statistics(network):
            assert [norm.training for norm in network] == [True, True]
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_inside()
    assert [(norm.training, norm.track_running_stats) for norm in network] == [(False, True), (False, False)]
