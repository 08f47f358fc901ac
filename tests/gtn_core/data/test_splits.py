"""Splits that somebody made are checked before anything is trained on them."""

from dataclasses import replace

import pytest
import torch

from gtn_core import DatasetError, DatasetSplits, MetaTrainingConfig, Split, meta_train

ROLES = {"train": "training", "validation": "validation", "test": "test"}


@pytest.mark.parametrize("part", ROLES)
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            torch.zeros(0, 1, 8, 8),
            torch.zeros(0, dtype=torch.int64),
            r"images are .* \[0, 1, 8, 8",
        ),
        (torch.zeros(3, 8, 8), torch.arange(3), r"images are .*; expected torch.float32 \[N, C, H, W\]"),
        (torch.zeros(3, 1, 8, 8, dtype=torch.float64), torch.arange(3), "images are torch.float64"),
        (
            torch.zeros(3, 1, 8, 8),
            torch.arange(3).int(),
            r"labels are .*int32 \[3\]; expected",
        ),
        (torch.zeros(3, 1, 8, 8), torch.arange(2), "has 3 images but 2 labels"),
        (
            torch.zeros(3, 1, 8, 8).numpy(),
            torch.arange(3),
            "images are a ndarray; give a tensor",
        ),
    ],
    ids=["empty", "flat", "float64", "int32", "fewer labels", "array"],
)
def test_a_part_of_another_form_is_refused(
    part: str, images: torch.Tensor, labels: torch.Tensor, message: str, digits: DatasetSplits
) -> None:
    with pytest.raises(DatasetError, match=f"digits: {ROLES[part]} {message}"):
        replace(digits, **{part: Split(images, labels)})


@pytest.mark.parametrize("part", ROLES)
@pytest.mark.parametrize("label", [-100, 10])
def test_labels_out_of_range_are_refused(part: str, label: int, digits: DatasetSplits) -> None:
    images, labels = digits.train.images, digits.train.labels.clone()
    labels[3] = label
    told = rf"{ROLES[part]} labels are from .*; number the 10 classes from 0 to 9"
    with pytest.raises(DatasetError, match=told):
        replace(digits, **{part: Split(images, labels)})


@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize("pixel", [torch.nan, -torch.inf])
def test_pixels_that_are_not_finite_are_refused(part: str, pixel: float, digits: DatasetSplits) -> None:
    images = digits.train.images.clone()
    images[3, 0, 1, 1] = pixel
    with pytest.raises(DatasetError, match="images have pixels that are not finite"):
        replace(digits, **{part: Split(images, digits.train.labels)})


@pytest.mark.parametrize("part", ["validation", "test"])
def test_images_of_another_size_are_refused(part: str, digits: DatasetSplits) -> None:
    small = Split(digits.test.images[..., 1:], digits.test.labels)
    with pytest.raises(DatasetError, match=rf"{part} images are \[1, 8, 7\] and training images \[1, 8, 8\]"):
        replace(digits, **{part: small})


def test_real_images_to_start_from_need_one_of_every_class(
    digits: DatasetSplits, tiny_config: MetaTrainingConfig
) -> None:
    sevens = digits.train.labels == 7
    few = replace(digits, train=Split(digits.train.images[~sevens], digits.train.labels[~sevens]))
    config = tiny_config.model_copy(update={"first_images": "real"})
    with pytest.raises(DatasetError, match="class 7 has no training image to start from"):
        meta_train(few, config)
