"""Random crops and flips, against what they may and must do to a picture."""

import pytest
import torch

from gtn_core.augmentation import random_crop, random_flip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 16), (16, 8)])
def test_a_crop_is_a_shift_by_an_eighth_of_each_side_with_a_repeated_border(height: int, width: int) -> None:
    image = torch.arange(float(height * width)).reshape(1, 1, height, width)
    most_down, most_right = height // 8, width // 8
    border = (most_right, most_right, most_down, most_down)
    padded = torch.nn.functional.pad(image, border, mode="replicate")[0, 0]
    windows = [
        padded[top : top + height, left : left + width]
        for top in range(2 * most_down + 1)
        for left in range(2 * most_right + 1)
    ]
    crops = random_crop(image.expand(300, 1, height, width), generator())
    found = [next(i for i, window in enumerate(windows) if torch.equal(crop[0], window)) for crop in crops]
    assert set(found) == set(range(len(windows))), "each of the shifts comes up"


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
