"""Random crops and mirror images of a batch."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gtn_core.config import AugmentPolicy

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""Images [B, C, H, W] and a CPU generator to images of the same shape, on the same device."""


def augmentation(policy: AugmentPolicy) -> Augmentation:
    """The function that a policy stands for."""
    return {"none": _unchanged, "crop": random_crop, "crop_flip": _crop_and_flip}[policy]


def random_crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by up to an eighth of its size (1 pixel of 8, 4 of 32); its border fills the gap."""
    count, _, height, width = images.shape
    padding = max(1, height // 8), max(1, width // 8)
    padded = F.pad(images, (padding[1], padding[1], padding[0], padding[0]), mode="replicate")
    top, left = (torch.randint(2 * pad + 1, (count, 1), generator=generator) for pad in padding)
    rows = (top + torch.arange(height)).to(images.device)  # [B, H]
    columns = (left + torch.arange(width)).to(images.device)  # [B, W]
    image = torch.arange(count, device=images.device)
    # Indices around the channel dimension move it last: [B, H, W, C].
    return padded[image[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability one half."""
    flipped = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    return torch.where(flipped.to(images.device), images.flip(3), images)


def _crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    return random_flip(random_crop(images, generator), generator)


def _unchanged(images: Tensor, _: torch.Generator) -> Tensor:
    return images
