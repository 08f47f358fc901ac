from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gtn_core.data import load_dataset
from gtn_core.errors import DatasetError

LABELS = np.arange(20) % 2


def save(path: Path, **arrays: Any) -> str:
    np.savez(path / "data.npz", **arrays)
    return f"npz:{path / 'data.npz'}"


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [
        ((20, 5, 6), (1, 5, 6)),
        ((20, 3, 5, 6), (3, 5, 6)),
        ((20, 5, 6, 3), (3, 5, 6)),
        ((20, 5, 6, 1), (1, 5, 6)),
        ((20, 4, 4, 3), (3, 4, 4)),
        ((20, 3, 4, 4), (3, 4, 4)),
        ((20, 3, 3, 3), (3, 3, 3)),
    ],
)
def test_image_layouts(tmp_path: Path, shape: tuple[int, ...], image_shape: tuple[int, ...]) -> None:
    assert load_dataset(save(tmp_path, images=pixels(*shape), labels=LABELS)).image_shape == image_shape


def test_channels_last_is_the_same_data_as_channels_first(tmp_path: Path) -> None:
    images = pixels(20, 3, 5, 6)
    first = load_dataset(save(tmp_path, images=images, labels=LABELS))
    last = load_dataset(save(tmp_path, images=images.transpose(0, 2, 3, 1), labels=LABELS))
    assert last.fingerprint == first.fingerprint


def test_official_test_split_and_column_of_labels(tmp_path: Path) -> None:
    text = save(
        tmp_path,
        x_train=pixels(20, 4, 4),
        y_train=LABELS[:, None],
        x_test=pixels(6, 4, 4),
        y_test=LABELS[:6, None],
    )
    splits = load_dataset(text)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [16, 4, 6]
    assert splits.test.labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_classes_are_the_label_values(tmp_path: Path) -> None:
    splits = load_dataset(save(tmp_path, images=pixels(20, 4, 4), labels=LABELS * 30 + 7))
    assert splits.class_names == ("7", "37")
    assert set(splits.train.labels.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": pixels(2, 2)}, "has the arrays pictures; expected images and labels, or x_train"),
        ({"x_train": pixels(20, 4, 4), "y_train": LABELS}, "has the arrays x_train, y_train; expected"),
        ({"images": pixels(20, 4), "labels": LABELS}, r"images have shape \[20, 4\]"),
        ({"images": pixels(20, 5, 5, 7), "labels": LABELS}, "1, 3, 4 channels"),
        ({"images": pixels(20, 4, 4).astype(np.int64), "labels": LABELS}, "images are int64"),
        ({"images": pixels(20, 4, 4), "labels": LABELS / 2}, r"labels are float64 \[20\]"),
        ({"images": pixels(20, 4, 4), "labels": np.eye(20, dtype=int)}, r"labels are int64 \[20, 20\]"),
        ({"images": pixels(20, 4, 4), "labels": LABELS - 1}, "has the label -1, out of range"),
        (
            {"images": pixels(20, 4, 4), "labels": LABELS.astype(np.uint64) + 2**63 - 1},
            "has the label 9223372036854775808, out of range",
        ),
        ({"images": pixels(0, 4, 4), "labels": LABELS[:0]}, r"found 0 class\(es\)"),
        ({"images": pixels(20, 4, 4), "labels": LABELS.astype(object)}, "Object arrays cannot be loaded"),
        (
            {
                "x_train": pixels(20, 4, 4),
                "y_train": LABELS,
                "x_test": pixels(2, 4, 4),
                "y_test": LABELS[:2] + 1,
            },
            "label 2 of test image 1 is out of range; the training labels are 0, 1",
        ),
        (
            {
                "x_train": pixels(20, 4, 4),
                "y_train": LABELS,
                "x_test": pixels(2, 4, 4) / 255,
                "y_test": LABELS[:2],
            },
            "training images are 1x4x4 uint8 and test images 1x4x4 float64",
        ),
    ],
)
def test_wrong_arrays(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_dataset(save(tmp_path, **arrays))


@pytest.mark.parametrize(
    ("images", "labels", "advice"),
    [
        (pixels(20, 4, 4).astype(np.int32), LABELS, "images.astype('uint8')"),
        (pixels(20, 4, 4).astype(np.int64) - 1, LABELS, "images.astype('float32')"),
        (pixels(20, 4, 4).astype(np.int64) * 9, LABELS, "images.astype('float32')"),
        (pixels(20, 4, 4) > 100, LABELS, "images.astype('float32')"),
        (pixels(20, 4, 4), LABELS.astype(np.float32), "labels.astype('int64')"),
        (pixels(20, 4, 4), LABELS == 1, "labels.astype('int64')"),
        (pixels(20, 4, 4), np.array(["dog", "cat"])[LABELS], "numpy.unique(labels, return_inverse=True)[1]"),
        (pixels(20, 4, 4), np.eye(2)[LABELS], "labels.argmax(axis=1)"),
    ],
)
def test_wrong_types_tell_which_conversion_would_do(
    tmp_path: Path, images: np.ndarray, labels: np.ndarray, advice: str
) -> None:
    with pytest.raises(DatasetError) as told:
        load_dataset(save(tmp_path, images=images, labels=labels))
    assert str(told.value).endswith(f"take {advice}")
    arrays = {"images": images, "labels": labels}
    changed = "images" if advice.startswith("images") else "labels"
    arrays[changed] = eval(advice, {"numpy": np, **arrays})
    assert load_dataset(save(tmp_path, **arrays)).num_classes == 2


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no file at .*nowhere\.npz"):
        load_dataset(f"npz:{tmp_path / 'nowhere.npz'}")


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_truncated_file(tmp_path: Path, keep: int) -> None:
    text = save(tmp_path, images=pixels(20, 4, 4), labels=LABELS)
    file = tmp_path / "data.npz"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DatasetError, match="is truncated or no NumPy archive"):
        load_dataset(text)


def test_damaged_file(tmp_path: Path) -> None:
    text = save(tmp_path, images=pixels(20, 4, 4), labels=LABELS)
    file = tmp_path / "data.npz"
    content = bytearray(file.read_bytes())
    content[300] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(DatasetError, match="is no readable NumPy archive: Bad CRC-32"):
        load_dataset(text)
