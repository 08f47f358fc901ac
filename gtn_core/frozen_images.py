"""A frozen generator's images by NumPy, a batch at a time: for pictures, where there is no PyTorch.

`FrozenCheckpoint.synthesize` is what learners are taught with; a test holds these images to those.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays

from gtn_core.checkpoint import FrozenCheckpoint
from gtn_core.randomness import torch_generator

Array = NDArray[np.float64]

LEAK = 0.1  # that of gtn_core.layers, whose module needs PyTorch
BATCH_NORM_EPSILON = 1e-5


class FrozenImages:
    """The batches of a checkpoint's curriculum, in training order."""

    def __init__(self, checkpoint: FrozenCheckpoint) -> None:
        self._manifest = checkpoint.manifest
        self._weights: dict[str, Array] = {
            name: array.astype(np.float64) for name, array in load_arrays(checkpoint.content).items()
        }

    def classes(self) -> NDArray[np.intp]:
        """The class of every synthetic image, its most probable one where labels are soft, [T, B]."""
        classes: NDArray[np.intp] = self._weights.get("label_logits", self._weights["labels"]).argmax(axis=2)
        return classes

    def batch(self, step: int) -> Array:
        """The images of an inner step, [B, C, H, W]. The curriculum "none" draws noise, and needs PyTorch."""
        if "pixels" in self._weights:
            pixels: Array = self._weights["pixels"][step]
            return pixels
        _, height, width = self._manifest.image_shape
        features = np.concatenate([self._latents(step), self._weights["labels"][step]], axis=1)
        features = _leaky(self._normalised("linears.1", self._linear("linears.0", features)))
        features = _leaky(self._normalised("linears.4", self._linear("linears.3", features)))
        coarse, _ = self._manifest.config.generator_channels
        features = features.reshape(len(features), coarse, -(-height // 4), -(-width // 4))
        features = self._convolution("convolutions.1", _doubled(features))
        features = _leaky(self._normalised("convolutions.2", features))
        features = self._convolution("convolutions.5", _doubled(features))
        images: Array = 2 * np.tanh(features[..., :height, :width])
        return images

    def _latents(self, step: int) -> Array:
        if "latents" in self._weights:
            latents: Array = self._weights["latents"][step]
            return latents
        noise: Array = self._noise[step]
        return noise

    @cached_property
    def _noise(self) -> Array:
        import torch

        config, rng = self._manifest.config, torch_generator(self._manifest.seed, "frozen noise")
        shape = (config.inner_steps, config.batch_size, config.latent_size)
        noise: Array = (config.latent_scale * torch.randn(shape, generator=rng)).double().numpy()
        return noise

    def _linear(self, name: str, features: Array) -> Array:
        units: Array = features @ self._weight(name).T + self._weights[f"generator.{name}.bias"]
        return units

    def _convolution(self, name: str, features: Array) -> Array:
        """3x3, the border reflected."""
        weight = self._weight(name)
        height, width = features.shape[2:]
        padded = np.pad(features, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
        maps = sum(
            np.tensordot(weight[:, :, down, right], window, axes=(1, 1))  # [O, B, H, W]
            for down in range(3)
            for right in range(3)
            for window in [padded[:, :, down : down + height, right : right + width]]
        )
        bias = _per_channel(self._weights[f"generator.{name}.bias"])
        convolved: Array = np.moveaxis(np.asarray(maps), 0, 1) + bias
        return convolved

    def _normalised(self, name: str, features: Array) -> Array:
        """By the statistics of the batch at hand."""
        axes = (0,) if features.ndim == 2 else (0, 2, 3)
        centred = features - features.mean(axis=axes, keepdims=True)
        scaled = centred / np.sqrt(features.var(axis=axes, keepdims=True) + BATCH_NORM_EPSILON)
        weight, bias = self._weights[f"generator.{name}.weight"], self._weights[f"generator.{name}.bias"]
        if features.ndim == 4:
            weight, bias = _per_channel(weight), _per_channel(bias)
        normalised: Array = scaled * weight + bias
        return normalised

    def _weight(self, name: str) -> Array:
        if (stored := f"generator.{name}.weight") in self._weights:
            return self._weights[stored]
        parts = f"generator.{name}.parametrizations.weight.original"
        length, direction = (self._weights[f"{parts}{part}"] for part in (0, 1))
        norm = np.sqrt(np.square(direction).sum(axis=tuple(range(1, direction.ndim)), keepdims=True))
        weight: Array = direction * (length / norm)
        return weight


def _doubled(features: Array) -> Array:
    """Nearest-neighbour upsampling."""
    return features.repeat(2, axis=2).repeat(2, axis=3)


def _leaky(features: Array) -> Array:
    return np.where(features > 0, features, LEAK * features)


def _per_channel(values: Array) -> Array:
    return values[:, None, None]
