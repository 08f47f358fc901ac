"""Augmentation of final trainings: where a mirror is safe, and what cutout blanks."""

import pytest
import torch

from gtn_core.data import DatasetSpec
from nas.augmentation import AugmentPolicy, augmentation, cutout


@pytest.mark.parametrize(
    ("policy", "dataset", "mirrors", "moves"),
    [
        ("auto", "cifar10", True, True),
        ("auto", "cifar100", True, True),
        ("auto", "digits", False, True),
        ("auto", "mnist", False, True),
        ("auto", "folder", False, True),
        ("crop_flip", "folder", True, True),
        ("crop", "cifar10", False, True),
        ("none", "cifar10", False, False),
    ],
)
def test_a_mirror_only_where_it_is_safe_or_asked_for(
    policy: AugmentPolicy, dataset: str, mirrors: bool, moves: bool
) -> None:
    """Two dots at different heights, far from the border: a shift keeps the order of their columns."""
    images = torch.zeros(100, 1, 16, 16)
    images[:, :, 4, 4] = images[:, :, 10, 10] = 1.0
    result = augmentation(policy, DatasetSpec(name=dataset))(images, torch.Generator().manual_seed(0))
    upper = result[:, 0, :8].amax(dim=1).argmax(dim=1)
    lower = result[:, 0, 8:].amax(dim=1).argmax(dim=1)
    assert bool((upper > lower).any()) is mirrors
    assert (not torch.equal(result, images)) is moves


def test_cutout_blanks_one_square_around_a_random_pixel() -> None:
    images = torch.ones(200, 2, 6, 8)
    blanked = cutout(images, torch.Generator().manual_seed(0), 3)
    holes = (blanked == 0).all(dim=1)
    assert torch.equal(blanked == 0, holes[:, None].expand_as(blanked)), "all channels alike"
    areas = holes.sum(dim=(1, 2))
    assert set(areas.tolist()) <= {4, 6, 9}, "3 x 3, or cut off by the border"
    assert holes.any(dim=0).all(), "every pixel may be hit"
    assert torch.equal(images, torch.ones_like(images))
