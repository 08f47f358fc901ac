"""Random crops and flips, against what they may and must do to a picture."""

import pytest
import torch

from gtn_core.data import DatasetSpec
from nas.augmentation import AugmentPolicy, augmentation, cutout, random_crop, random_flip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_crop_is_a_shift_with_a_repeated_border() -> None:
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1), mode="replicate")[0, 0]
    windows = [padded[top : top + 8, left : left + 8] for top in range(3) for left in range(3)]
    crops = random_crop(image.expand(200, 1, 8, 8), generator())
    found = [next(i for i, window in enumerate(windows) if torch.equal(crop[0], window)) for crop in crops]
    assert set(found) == set(range(9)), "each of the nine shifts comes up"


def test_channels_and_images_keep_their_places() -> None:
    images = torch.arange(6.0).reshape(2, 3, 1, 1).expand(2, 3, 12, 16)
    assert torch.equal(random_crop(images, generator()), images)


def test_a_flip_mirrors_about_half_of_the_images() -> None:
    images = torch.randn(400, 3, 4, 5, generator=generator(1))
    flipped = random_flip(images, generator())
    mirrored = torch.tensor([torch.equal(a, b.flip(2)) for a, b in zip(flipped, images, strict=True)])
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(flipped, images, strict=True)])
    assert (mirrored ^ kept).all()
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize(
    ("policy", "dataset", "mirrors", "moves"),
    [
        ("auto", "cifar10", True, True),
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
    result = augmentation(policy, DatasetSpec(name=dataset))(images, generator())
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
