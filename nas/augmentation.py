"""Random crops and mirror images of a batch."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gtn_core.data import DatasetSpec
from nas.final_training_config import AugmentPolicy

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""Images [B, C, H, W] and a CPU generator to images of the same shape, on the same device."""

MIRROR_SAFE = frozenset({"cifar10"})
"""Data sets whose classes survive a mirror. Digits and letters do not, and pictures of unknown content may
not (road signs, text), so for those a flip has to be asked for."""


def augmentation(policy: AugmentPolicy, dataset: DatasetSpec) -> Augmentation:
    """The function that a policy stands for; `auto` is crop_flip where a mirror is known to be safe."""
    if policy == "auto":
        policy = "crop_flip" if dataset.name in MIRROR_SAFE else "crop"
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


def cutout(images: Tensor, generator: torch.Generator, size: int) -> Tensor:
    """Blank a square of `size` pixels at a random centre of each image (DeVries & Taylor, 2017)."""
    count, _, height, width = images.shape
    inside = []
    for length in (height, width):
        centre = torch.randint(length, (count, 1), generator=generator)
        offset = torch.arange(length) - centre + size // 2
        inside.append((offset >= 0) & (offset < size))  # [B, length]
    rows, columns = inside
    blank = (rows[:, None, :, None] & columns[:, None, None, :]).to(images.device)
    return images.masked_fill(blank, 0.0)


def _crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    return random_flip(random_crop(images, generator), generator)


def _unchanged(images: Tensor, _: torch.Generator) -> Tensor:
    return images
