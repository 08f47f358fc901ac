"""The networks that learn during meta-training: convnets after the paper's, and their sampler."""

from typing import Protocol

from torch import Tensor, nn

from gtn_core.config import LearnerNormalization, MetaTrainingConfig
from gtn_core.layers import LEAK, MeanOnlyBatchNorm, weight_normalised
from gtn_core.randomness import seeded_initialisation

ImageShape = tuple[int, int, int]
"""Channels, height, width."""


class LearnerSampler(Protocol):
    """Draws the learner of one meta step, for instance from a search space."""

    def __call__(self, *, image_shape: ImageShape, num_classes: int, seed: int) -> nn.Module:
        """A freshly initialised network, images [B, C, H, W] -> logits [B, K]; the seed fixes everything."""
        ...


def learner_name(sampler: LearnerSampler) -> str:
    """The family that a sampler draws from, as manifests have it: a function's name, else its `str()`."""
    return getattr(sampler, "__qualname__", None) or str(sampler)


class ConvNetSampler:
    """Draws the convnet that the configuration describes: one architecture, fresh weights."""

    def __init__(self, config: MetaTrainingConfig) -> None:
        self.config = config

    def __call__(self, *, image_shape: ImageShape, num_classes: int, seed: int) -> nn.Module:
        """A convnet with weights drawn from `seed`."""
        with seeded_initialisation(seed):
            if self.config.learner == "strided":
                return StridedConvNet(image_shape, num_classes, self.config)
            return PooledConvNet(image_shape, num_classes, self.config)

    def __str__(self) -> str:
        channels = "/".join(map(str, self.config.learner_channels))
        hidden = f", {self.config.learner_hidden} hidden units" if self.config.learner == "pooled" else ""
        return f"{self.config.learner} convnet, {channels} channels{hidden}"


class PooledConvNet(nn.Module):
    """3x3 convolutions, each followed by 2x2 max pooling, then a hidden layer, for small images."""

    def __init__(self, image_shape: ImageShape, num_classes: int, config: MetaTrainingConfig) -> None:
        super().__init__()
        inputs, height, width = image_shape
        stages: list[nn.Module] = []
        for outputs in config.learner_channels:
            stages += [
                weight_normalised(nn.Conv2d(inputs, outputs, 3, padding=1)),
                _norm(config.learner_normalization, outputs, nn.BatchNorm2d),
                nn.LeakyReLU(LEAK),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
            inputs, height, width = outputs, -(-height // 2), -(-width // 2)
        self.features = nn.Sequential(*stages, nn.Flatten())
        self.classifier = nn.Sequential(
            weight_normalised(nn.Linear(inputs * height * width, config.learner_hidden)),
            _norm(config.learner_normalization, config.learner_hidden, nn.BatchNorm1d),
            nn.LeakyReLU(LEAK),
            weight_normalised(nn.Linear(config.learner_hidden, num_classes)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> logits [B, K]."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


class StridedConvNet(nn.Module):
    """3x3 convolutions, every second of stride 2, then global average pooling, for colour images."""

    def __init__(self, image_shape: ImageShape, num_classes: int, config: MetaTrainingConfig) -> None:
        super().__init__()
        inputs = image_shape[0]
        stages: list[nn.Module] = []
        for position, outputs in enumerate(config.learner_channels):
            stages += [
                weight_normalised(nn.Conv2d(inputs, outputs, 3, stride=1 + position % 2, padding=1)),
                _norm(config.learner_normalization, outputs, nn.BatchNorm2d),
                nn.LeakyReLU(LEAK),
            ]
            inputs = outputs
        self.features = nn.Sequential(*stages)
        self.classifier = weight_normalised(nn.Linear(inputs, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> logits [B, K]."""
        logits: Tensor = self.classifier(self.features(images).mean(dim=(2, 3)))
        return logits


def _norm(
    kind: LearnerNormalization, channels: int, full: type[nn.BatchNorm1d | nn.BatchNorm2d]
) -> nn.Module:
    if kind == "mean_only":
        return MeanOnlyBatchNorm(channels)
    return full(channels, track_running_stats=False)
