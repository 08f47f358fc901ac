"""The networks that learn during meta-training: convnets after the paper's, and their sampler."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gtn_core.config import MetaTrainingConfig
from gtn_core.layers import LEAK, MeanOnlyBatchNorm, batch_statistics, initialised
from gtn_core.randomness import derive_seed, seeded_initialisation

ImageShape = tuple[int, int, int]
"""Channels, height, width."""


class LearnerSampler(Protocol):
    """Draws the learner of one meta step, for instance from a search space."""

    def __call__(self, *, image_shape: ImageShape, num_classes: int, seed: int) -> nn.Module:
        """A freshly initialised network, images [B, C, H, W] -> logits [B, K]; the seed fixes everything."""
        ...


def learner_name(sampler: LearnerSampler) -> str:
    """The family that a sampler draws from, as manifests have it and resumed runs compare it.

    A function's name, else what `str()` says, else the name of the class, and the arguments that are fixed:
    never where in memory they lie.
    """
    if isinstance(sampler, partial):
        keywords = [f"{name}={value!r}" for name, value in sorted(sampler.keywords.items())]
        told = [each for each in (*map(repr, sampler.args), *keywords) if " at 0x" not in each]
        return learner_name(sampler.func) + (f"({', '.join(told)})" if told else "")
    kind = type(sampler)
    says_nothing = kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__
    return getattr(sampler, "__qualname__", None) or (kind.__qualname__ if says_nothing else str(sampler))


def require_logits(learner: nn.Module, image_shape: ImageShape, num_classes: int) -> None:
    """Raise ValueError unless the learner maps two images to logits [2, K]."""
    with torch.no_grad(), batch_statistics(learner):
        logits = learner(torch.zeros(2, *image_shape))
    found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if found != [2, num_classes]:
        raise ValueError(
            f"a learner, {type(learner).__name__}, maps 2 images to {found}; expected {[2, num_classes]}, a "
            "logit for each class of each image"
        )


@dataclass(frozen=True, slots=True)
class ConvNetShape:
    """One convnet of those that a configuration describes."""

    channels: tuple[int, ...]
    hidden: int
    pool_size: int
    pools_first: bool
    normalization: Literal["batch", "mean_only"]
    weight_normalization: bool


class ConvNetSampler:
    """Draws convnets that the configuration describes: fresh weights, and the shape where it gives ranges."""

    def __init__(self, config: MetaTrainingConfig) -> None:
        self.config = config

    def __call__(self, *, image_shape: ImageShape, num_classes: int, seed: int) -> nn.Module:
        """A convnet whose shape and weights are drawn from `seed`."""
        shape = self.shape(seed)
        network = StridedConvNet if self.config.learner == "strided" else PooledConvNet
        with seeded_initialisation(seed):
            return network(image_shape, num_classes, shape)

    @property
    def draws_one_shape(self) -> bool:
        """Whether its learners differ in their weights alone."""
        config = self.config
        ranges = (config.learner_width_range, config.learner_depth_range or (1, 1))
        return config.learner_normalization != "either" and all(low == high for low, high in ranges)

    def shape(self, seed: int) -> ConvNetShape:
        """The shape that `seed` draws."""
        config, rng = self.config, np.random.default_rng(derive_seed(seed, "convnet shape"))
        factor = math.exp(rng.uniform(*np.log(config.learner_width_range)))
        low, high = config.learner_depth_range or (len(config.learner_channels),) * 2
        depth = int(rng.integers(low, high, endpoint=True))
        channels = (*config.learner_channels, *config.learner_channels[-1:] * depth)[:depth]
        either: tuple[Literal["batch", "mean_only"], ...] = ("batch", "mean_only")
        normalization = config.learner_normalization
        return ConvNetShape(
            channels=tuple(max(1, round(factor * width)) for width in channels),
            hidden=max(1, round(factor * config.learner_hidden)),
            pool_size=config.learner_pool_size,
            pools_first=config.learner_pools_first,
            normalization=either[rng.integers(2)] if normalization == "either" else normalization,
            weight_normalization=config.learner_weight_normalization,
        )

    def __str__(self) -> str:
        config = self.config
        channels = "/".join(map(str, config.learner_channels))
        hidden = f", {config.learner_hidden} hidden units" if config.learner == "pooled" else ""
        low, high = config.learner_width_range
        widths = "" if low == high == 1 else f", {low:g} to {high:g} times as wide"
        depths = config.learner_depth_range
        deep = "" if depths is None else f", {depths[0]} to {depths[1]} convolutions"
        return f"{config.learner} convnet, {channels} channels{hidden}{widths}{deep}"


class PooledConvNet(nn.Module):
    """3x3 convolutions, each followed by max pooling of stride 2, then a hidden layer, for small images."""

    def __init__(self, image_shape: ImageShape, num_classes: int, shape: ConvNetShape) -> None:
        super().__init__()
        inputs, height, width = image_shape
        layer = partial(initialised, weight_normalization=shape.weight_normalization)
        # Either halves height and width, rounded up.
        pool = {2: nn.MaxPool2d(2, ceil_mode=True), 3: nn.MaxPool2d(3, stride=2, padding=1)}[shape.pool_size]
        stages: list[nn.Module] = []
        for outputs in shape.channels:
            convolution = layer(nn.Conv2d(inputs, outputs, 3, padding=1))
            activation = _norm(shape.normalization, outputs, nn.BatchNorm2d), nn.LeakyReLU(LEAK)
            stages += [convolution, *((pool, *activation) if shape.pools_first else (*activation, pool))]
            inputs, height, width = outputs, -(-height // 2), -(-width // 2)
        self.features = nn.Sequential(*stages, nn.Flatten())
        self.classifier = nn.Sequential(
            layer(nn.Linear(inputs * height * width, shape.hidden)),
            _norm(shape.normalization, shape.hidden, nn.BatchNorm1d),
            nn.LeakyReLU(LEAK),
            layer(nn.Linear(shape.hidden, num_classes)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> logits [B, K]."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


class StridedConvNet(nn.Module):
    """3x3 convolutions, every second of stride 2, then global average pooling, for colour images."""

    def __init__(self, image_shape: ImageShape, num_classes: int, shape: ConvNetShape) -> None:
        super().__init__()
        inputs = image_shape[0]
        layer = partial(initialised, weight_normalization=shape.weight_normalization)
        stages: list[nn.Module] = []
        for position, outputs in enumerate(shape.channels):
            stages += [
                layer(nn.Conv2d(inputs, outputs, 3, stride=1 + position % 2, padding=1)),
                _norm(shape.normalization, outputs, nn.BatchNorm2d),
                nn.LeakyReLU(LEAK),
            ]
            inputs = outputs
        self.features = nn.Sequential(*stages)
        self.classifier = layer(nn.Linear(inputs, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> logits [B, K]."""
        logits: Tensor = self.classifier(self.features(images).mean(dim=(2, 3)))
        return logits


def _norm(
    kind: Literal["batch", "mean_only"], channels: int, full: type[nn.BatchNorm1d | nn.BatchNorm2d]
) -> nn.Module:
    if kind == "mean_only":
        return MeanOnlyBatchNorm(channels)
    return full(channels, track_running_stats=False)
