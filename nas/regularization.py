"""What only the training of a network has: drop-path, and an auxiliary classifier in its middle."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gtn_core.randomness import derive_seed, seeded_initialisation
from nas.search_spaces.base import ImageShape


@runtime_checkable
class HasDropPath(Protocol):
    """A network with operations that may be silenced."""

    def drop_path_modules(self) -> list[tuple[nn.Module, float]]:
        """The operations, each with its depth in (0, 1]."""
        ...


@runtime_checkable
class HasAuxiliary(Protocol):
    """A network with a place for an auxiliary classifier."""

    def auxiliary_module(self) -> nn.Module:
        """The module whose output [B, C, H, W] the classifier reads."""
        ...


class RegularizedNetwork(nn.Module):
    """Computes what the network computes; in training, `training_loss` adds what regularises it.

    The network itself stays as it is: hooks do the work, and `release` takes them away.
    """

    def __init__(
        self,
        network: nn.Module,
        image_shape: ImageShape,
        num_classes: int,
        *,
        drop_path: float,
        auxiliary_weight: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.network, self._drop_path, self._auxiliary_weight = network, drop_path, auxiliary_weight
        self.auxiliary: nn.Module | None = None
        self._hooks: list[Any] = []
        self._features: Tensor | None = None
        self._generator, self._progress = torch.Generator(), 0.0
        if drop_path > 0 and isinstance(network, HasDropPath):
            for module, depth in network.drop_path_modules():
                self._hooks.append(module.register_forward_hook(self._dropping(depth)))
        if auxiliary_weight > 0 and isinstance(network, HasAuxiliary):
            self._hooks.append(network.auxiliary_module().register_forward_hook(self._keep_features))
            channels = self._feature_channels(image_shape)
            with seeded_initialisation(derive_seed(seed, "auxiliary classifier")):
                self.auxiliary = _classifier(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] to the network's logits [B, K]."""
        logits: Tensor = self.network(images)
        return logits

    def training_loss(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        label_smoothing: float,
        generator: torch.Generator,
        progress: float,
    ) -> Tensor:
        """Mean cross entropy, that of the auxiliary classifier added.

        `generator` draws what is dropped; `progress` is the share of the training that is over.
        """
        self._generator, self._progress = generator, progress
        loss = F.cross_entropy(self(images), labels, label_smoothing=label_smoothing)
        if self.auxiliary is not None:
            early = F.cross_entropy(self.auxiliary(self._features), labels, label_smoothing=label_smoothing)
            loss = loss + self._auxiliary_weight * early
        self._features = None
        return loss

    def release(self) -> nn.Module:
        """The network, on the CPU, in evaluation mode and without hooks."""
        for hook in self._hooks:
            hook.remove()
        self._features = None
        return self.network.cpu().eval()

    @torch.no_grad()
    def _feature_channels(self, image_shape: ImageShape) -> int:
        """Channels of what the auxiliary classifier reads."""
        self.network.eval()(torch.zeros(1, *image_shape))
        assert self._features is not None
        return self._features.shape[1]

    def _dropping(self, depth: float) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
        """Drop-path (Larsson et al., ICLR 2017), scheduled over depth and time (Zoph et al., CVPR 2018)."""

        def drop(module: nn.Module, _: Any, output: Tensor) -> Tensor | None:
            odds = self._drop_path * depth * self._progress
            if not module.training or odds == 0:
                return None
            kept = torch.rand(len(output), 1, 1, 1, generator=self._generator) >= odds
            return output * (kept / (1 - odds)).to(output)

        return drop

    def _keep_features(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self._features = output


def _classifier(channels: int, num_classes: int) -> nn.Module:
    """The auxiliary head of ENAS and NAO, for features of any size."""
    return nn.Sequential(
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Conv2d(channels, 128, kernel_size=1, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.Conv2d(128, 768, kernel_size=2, bias=False),
        nn.BatchNorm2d(768),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(768, num_classes),
    )
