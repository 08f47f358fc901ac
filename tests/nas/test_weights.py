"""Weights out to safetensors and strictly back."""

import pytest
import torch
from torch import nn

from gtn_core.errors import ExportError
from nas.search_spaces import get_search_space
from nas.weights import load_weights, weights_to_bytes

SPACE = get_search_space("nasbench201", channels=2, cells_per_stage=1)
CONVOLUTION = SPACE.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
POINTWISE = SPACE.parse("|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|")
SKIP = SPACE.parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")


def build(architecture=CONVOLUTION, seed: int = 0) -> torch.nn.Module:
    return SPACE.build(architecture, image_shape=(1, 8, 8), num_classes=3, seed=seed)


def test_weights_and_running_statistics_round_trip() -> None:
    trained, other = build(seed=0), build(seed=1)
    trained(torch.randn(5, 1, 8, 8))
    load_weights(other, weights_to_bytes(trained, {"note": "kept beside them"}))
    for name, tensor in trained.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a whole safetensors file"),
        (weights_to_bytes(build())[:-1], "not a whole safetensors file"),
        (weights_to_bytes(build(SKIP)), r"missing body\.0\.conv1.* and 15 more; unknown none"),
        (
            weights_to_bytes(build(POINTWISE)),
            r"\(2, 2, 1, 1\); the network needs torch.float32 \(2, 2, 3, 3\)",
        ),
        (weights_to_bytes(build().double()), "float64"),
    ],
)
def test_foreign_weights_are_refused_and_change_nothing(content: bytes, reason: str) -> None:
    network = build()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ExportError, match=reason):
        load_weights(network, content)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_not_stored(number: float) -> None:
    network = build()
    next(network.parameters()).data[0] = number
    with pytest.raises(ExportError, match=r"stem\.0\.weight"):
        weights_to_bytes(network)


def test_tied_weights_and_the_infinities_of_a_mask_round_trip() -> None:
    def tied() -> nn.Module:
        network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        network[1].weight = network[0].weight
        network.register_buffer("mask", torch.full((2, 2), float("-inf")).triu(1))
        return network

    trained, other = tied(), tied()
    load_weights(other, weights_to_bytes(trained))
    assert other[1].weight is other[0].weight
    for name, tensor in trained.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name
    trained.mask[0, 0] = float("nan")
    with pytest.raises(ExportError, match="mask holds numbers that are not finite"):
        weights_to_bytes(trained)


def test_what_is_no_tensor_is_told() -> None:
    class WithExtraState(nn.Linear):
        def get_extra_state(self) -> dict[str, int]:
            return {"steps": 3}

    with pytest.raises(ExportError, match=r"holds _extra_state, a dict; .* leave out get_extra_state"):
        weights_to_bytes(WithExtraState(2, 2))
