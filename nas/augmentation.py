"""Augmentation of final trainings: crops and mirror images as in meta-training, and cutout."""

import torch
from torch import Tensor

import gtn_core.augmentation
from gtn_core.augmentation import Augmentation
from gtn_core.data import DatasetSpec
from nas.final_training_config import AugmentPolicy

MIRROR_SAFE = frozenset({"cifar10", "cifar100"})
"""Data sets whose classes survive a mirror. Digits and letters do not, and pictures of unknown content may
not (road signs, text), so for those a flip has to be asked for."""


def augmentation(policy: AugmentPolicy, dataset: DatasetSpec) -> Augmentation:
    """The function that a policy stands for; `auto` is crop_flip where a mirror is known to be safe."""
    if policy == "auto":
        policy = "crop_flip" if dataset.name in MIRROR_SAFE else "crop"
    return gtn_core.augmentation.augmentation(policy)


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
