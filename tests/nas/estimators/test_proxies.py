"""Zero-cost proxies on networks whose numbers can be worked out by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.estimators.proxies import az_nas, gradient_norm, jacobian_covariance, naswot, synflow
from nas.estimators.proxies.az_nas import UNTRAINABLE, entropy, trainability
from nas.estimators.proxies.blocks import feature_maps, primary_blocks
from nas.estimators.proxies.jacobian_covariance import STABILISER, correlation_score
from nas.estimators.proxies.naswot import SMALLEST_EIGENVALUE, activation_kernel


def linear(weight: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.zero_()
    return layer


class TestSynFlow:
    def test_of_a_linear_network_is_its_flow_once_per_layer(self) -> None:
        """R = 1ᵀ|B||A|1 is homogeneous in each layer, so w·dR/dw sums to R over the weights of each."""
        network = nn.Sequential(nn.Flatten(), linear([[1.0, -2.0], [3.0, 0.0]]), linear([[-1.0, 2.0]]))
        # |A|1 = (3, 3), |B|(3, 3) = 9, two layers.
        assert synflow(network, (1, 1, 2)) == pytest.approx(math.log(2 * 9))

    def test_ignores_batch_norm_and_leaves_the_network_as_it_is(self) -> None:
        network = nn.Sequential(
            nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1), nn.Flatten(), linear([[2.0]])
        )
        with torch.no_grad():
            network[0].weight.fill_(-3.0)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        assert synflow(network, (1, 1, 1)) == pytest.approx(math.log(2 * 6), abs=1e-4)
        assert network.training
        for name, value in network.state_dict().items():
            assert torch.equal(value, before[name])

    def test_without_flow_is_finite(self) -> None:
        assert synflow(nn.Sequential(nn.Flatten(), linear([[0.0, 0.0]])), (1, 1, 2)) < -700


class TestNaswot:
    IMAGES = torch.tensor([[1.0, -1.0, 1.0, 1.0], [1.0, 1.0, 1.0, -1.0]]).view(2, 1, 1, 4)

    def test_kernel_counts_the_units_that_two_images_switch_alike(self) -> None:
        """Codes 1011 and 1110: alike in the first and third of four units."""
        kernel = activation_kernel(nn.Sequential(nn.Flatten(), nn.ReLU()), self.IMAGES)
        assert kernel.tolist() == [[4.0, 2.0], [2.0, 4.0]]
        assert naswot(nn.Sequential(nn.Flatten(), nn.ReLU()), self.IMAGES) == pytest.approx(math.log(12))

    def test_kernel_adds_up_all_rectifiers_and_zero_is_switched_off(self) -> None:
        """A second one sees zeros where the first is off, and switches as it does."""
        kernel = activation_kernel(nn.Sequential(nn.Flatten(), nn.ReLU(), nn.ReLU()), self.IMAGES)
        assert kernel.tolist() == [[8.0, 4.0], [4.0, 8.0]]

    def test_sees_rectifiers_that_are_functions(self) -> None:
        class Functional(nn.Module):
            def forward(self, images: Tensor) -> Tensor:
                return F.relu(images.flatten(1))

        assert activation_kernel(Functional(), self.IMAGES).tolist() == [[4.0, 2.0], [2.0, 4.0]]

    def test_of_equal_codes_is_finite(self) -> None:
        alike = torch.ones(2, 1, 1, 4)
        score = naswot(nn.Sequential(nn.Flatten(), nn.ReLU()), alike)
        assert score == pytest.approx(math.log(8) + math.log(SMALLEST_EIGENVALUE))


class TestJacobianCovariance:
    def test_of_uncorrelated_and_of_equal_rows(self) -> None:
        uncorrelated = torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]], dtype=torch.float64)
        k = STABILISER
        assert correlation_score(uncorrelated) == pytest.approx(-2 * (math.log(1 + k) + 1 / (1 + k)))
        equal = uncorrelated[[0, 0]]  # eigenvalues 2 and 0
        expected = -(math.log(2 + k) + 1 / (2 + k)) - (math.log(k) + 1 / k)
        assert correlation_score(equal) == pytest.approx(expected)

    def test_reads_the_gradients_of_the_images(self) -> None:
        """A linear network has the same gradient for all images; a rectified one need not."""
        images = torch.randn(2, 1, 1, 4, generator=torch.Generator().manual_seed(0))
        one = nn.Sequential(nn.Flatten(), linear([[1.0, 2.0, 3.0, 5.0]]))
        equal = torch.tensor([[1.0, 2.0, 3.0, 5.0]] * 2, dtype=torch.float64)
        assert jacobian_covariance(one, images) == pytest.approx(correlation_score(equal), rel=1e-3)
        assert not images.requires_grad


def test_gradient_norm_is_that_of_each_weight_tensor() -> None:
    """One image x = (1, 2), logits 0: the gradient is (p - y) xᵀ with p - y = (-1/2, 1/2)."""
    network = nn.Sequential(nn.Flatten(), linear([[0.0, 0.0], [0.0, 0.0]]))
    image = torch.tensor([1.0, 2.0]).view(1, 1, 1, 2)
    expected = math.sqrt(0.5) * math.sqrt(5)
    assert gradient_norm(network, image, torch.tensor([0])) == pytest.approx(expected)


class TestAzNas:
    def test_entropy_of_a_spectrum(self) -> None:
        """Two independent channels of equal variance: ln 2; one of them constant: 0."""
        signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        both = signs.T.reshape(1, 2, 2, 2)
        assert entropy(both) == pytest.approx(math.log(2))
        shifted = both + torch.tensor([5.0, 0.0]).view(1, 2, 1, 1)
        assert entropy(shifted) == pytest.approx(math.log(2)), "covariances have no mean"
        assert entropy(both * torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)) == pytest.approx(0, abs=1e-6)
        assert entropy(torch.zeros(1, 2, 2, 2)) == 0

    def test_trainability_of_a_scaled_identity(self) -> None:
        """After = a · before: the cross-moment of one channel's gradients is a."""
        before = torch.ones(2, 1, 3, 3, requires_grad=True)
        generator = torch.Generator().manual_seed(0)
        for scale in (1.0, 0.5, 4.0):
            expected = -scale - 1 / scale + 2
            assert trainability(before, scale * before, generator) == pytest.approx(expected, abs=1e-4)

    def test_the_norm_of_a_cross_moment_is_the_spectral_one(self) -> None:
        """Two channels, each three times itself: a norm of 3, but for the signs' own correlation."""
        before = torch.ones(8, 2, 32, 32, requires_grad=True)
        score = trainability(before, 3 * before, torch.Generator().manual_seed(0))
        assert score == pytest.approx(-3 - 1 / 3 + 2, abs=0.2)

    def test_trainability_of_nothing(self) -> None:
        before = torch.ones(1, 1, 2, 2, requires_grad=True)
        generator = torch.Generator().manual_seed(0)
        assert trainability(before, before, generator) == UNTRAINABLE
        assert trainability(before, before * 0, generator) == pytest.approx(UNTRAINABLE)

    @pytest.mark.parametrize("size", [4, 5])
    def test_trainability_across_a_stride(self, size: int) -> None:
        """Average pooling 2×2 hands a quarter of the gradient to each of four pixels: a norm of 1/2."""
        before = torch.ones(8, 1, size, size, requires_grad=True)
        after = F.avg_pool2d(before, 2, ceil_mode=True)
        score = trainability(before, after, torch.Generator().manual_seed(0))
        assert score == pytest.approx(-0.5 - 2 + 2, abs=0.2 if size == 5 else 1e-4)

    def test_of_a_network_without_feature_maps_is_zero(self) -> None:
        network = nn.Sequential(nn.Flatten(), linear([[1.0, 1.0]]))
        terms = az_nas(network, (1, 1, 2), batch_size=4, generator=torch.Generator().manual_seed(0))
        assert (terms.expressivity, terms.progressivity, terms.trainability) == (0, 0, 0)

    def test_terms_are_read_from_the_blocks_in_order(self) -> None:
        network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1))
        terms = az_nas(network, (3, 6, 6), batch_size=8, generator=torch.Generator().manual_seed(0))
        # The generator draws three weights, then the noise, then the signs of the gradients.
        generator = torch.Generator().manual_seed(0)
        for layer in network:
            nn.init.kaiming_normal_(layer.weight.detach(), nonlinearity="relu", generator=generator)
        maps = feature_maps(network, torch.randn(8, 3, 6, 6, generator=generator))
        entropies = [entropy(each.detach()) for each in maps]
        assert terms.expressivity == pytest.approx(sum(entropies))
        assert terms.progressivity == pytest.approx(min(np.diff(entropies)))
        steps = [trainability(before, after, generator) for before, after in pairwise(maps)]
        assert terms.trainability == pytest.approx(sum(steps) / 2)


def test_blocks_are_the_network_s_parts_and_not_their_layers() -> None:
    stem, cell = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), nn.Sequential(nn.Conv2d(2, 2, 1))
    nested = nn.Module()
    nested.inside = cell  # type: ignore[assignment]
    head = nn.Sequential(nn.Flatten(), nn.Linear(8, 2))
    network = nn.Sequential(stem, nn.Sequential(nested, nn.ReLU()), head)
    assert list(primary_blocks(network)) == [stem, nested, network[1][1], head]
