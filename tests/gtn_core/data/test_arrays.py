"""Arrays and tensors that a program has become the same splits as a file of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gtn_core import DatasetError, load_dataset, splits_from_arrays

LABELS = np.arange(20) % 2


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_arrays_are_the_same_data_as_a_file_of_them(tmp_path: Path) -> None:
    images = pixels(20, 5, 6, 3)
    np.savez(tmp_path / "data.npz", images=images, labels=LABELS)
    read = load_dataset(f"npz:{tmp_path / 'data.npz'}", seed=3)
    given = splits_from_arrays(images, LABELS, seed=3)
    assert given.fingerprint == read.fingerprint
    assert torch.equal(given.test.images, read.test.images)
    assert str(given.dataset) == "arrays"


def test_tensors_are_the_same_data_as_arrays() -> None:
    images = pixels(20, 3, 5, 6)
    tensors = splits_from_arrays(torch.from_numpy(images), torch.from_numpy(LABELS))
    assert tensors.fingerprint == splits_from_arrays(images, LABELS).fingerprint


def test_what_was_given_stays_as_it_was() -> None:
    images = torch.rand(20, 1, 4, 4).requires_grad_()
    before = images.detach().clone()
    splits_from_arrays(images, LABELS, images, LABELS)
    assert torch.equal(images, before)


def test_bytes_and_floats_of_any_range_become_the_same_images() -> None:
    images = pixels(20, 4, 4)
    expected = splits_from_arrays(images, LABELS).train.images
    for floats in (images.astype(np.float32), images / 255):
        torch.testing.assert_close(splits_from_arrays(floats, LABELS).train.images, expected)


def test_a_test_set_stays_apart_and_in_its_order() -> None:
    splits = splits_from_arrays(pixels(20, 4, 4), LABELS + 3, pixels(3, 4, 4), torch.tensor([[4], [3], [3]]))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [16, 4, 3]
    assert splits.test.labels.tolist() == [1, 0, 0]
    assert splits.class_names == ("3", "4")


def test_data_of_one_name_and_size() -> None:
    splits = splits_from_arrays(pixels(20, 8, 8), LABELS, dataset="letters@4")
    assert (splits.dataset.name, splits.image_shape) == ("letters", (1, 4, 4))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": pixels(20, 16)}, r"images have shape \[20, 16\]; expected \[N, H, W\]"),
        ({"images": pixels(20, 5, 5, 7)}, "with 1, 3, 4 channels"),
        ({"images": pixels(19, 4, 4)}, "19 training images but 20 labels"),
        ({"images": pixels(20, 4, 4).astype(int)}, r"images are int64; .*take images\.astype\('uint8'\)"),
        ({"images": np.full((20, 4, 4), np.nan)}, r"20 training image\(s\) have non-finite pixels"),
        ({"images": torch.zeros(20, 4, 4, dtype=torch.bfloat16)}, "images are no array: "),
        ({"images": [[1.0], [1.0, 2.0]]}, "images are no array: "),
        ({"labels": LABELS - 1}, "labels has the label -1, out of range"),
        ({"labels": LABELS / 2}, r"labels are float64 \[20\]"),
        ({"labels": np.arange(20)}, r"class '0' has 1 training example\(s\); each class needs at least 3"),
        ({"labels": LABELS * 0}, r"found 1 class\(es\)"),
        ({"test_images": pixels(2, 4, 4)}, "test_labels are missing; give test_images and test_labels"),
        ({"test_labels": LABELS[:2]}, "test_images are missing; give test_images and test_labels"),
        (
            {"test_images": pixels(2, 4, 4), "test_labels": LABELS[:2] + 1},
            "label 2 of test image 1 is out of range; the training labels are 0, 1",
        ),
        (
            {"test_images": pixels(2, 4, 4) / 255, "test_labels": LABELS[:2]},
            "training images are 1x4x4 uint8 and test images 1x4x4 float64",
        ),
        (
            {"test_images": pixels(2, 3, 4, 4), "test_labels": LABELS[:2]},
            "training images are 1x4x4 uint8 and test images 3x4x4 uint8",
        ),
        ({"seed": -1}, "split seed -1 is negative"),
    ],
)
def test_wrong_arrays(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=f"^arrays: .*{message}"):
        splits_from_arrays(**{"images": pixels(20, 4, 4), "labels": LABELS} | given)
