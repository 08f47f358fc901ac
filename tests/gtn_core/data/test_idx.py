import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from gtn_core.data import load_dataset
from gtn_core.errors import DatasetError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim]) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_family(
    folder: Path, *, prefix: str = "", test_name: str = "t10k", suffix: str = ".gz", first_label: int = 0
) -> None:
    """Ten classes with four training images and one test image each, 5x5."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name, count in (("train", 40), (test_name, 10)):
        images = rng.integers(0, 256, (count, 5, 5), dtype=np.uint8)
        labels = (np.arange(count) % 10 + first_label).astype(np.uint8)
        for content, array in (("images-idx3", images), ("labels-idx1", labels)):
            data = idx_bytes(array)
            file = folder / f"{prefix}{name}-{content}-ubyte{suffix}"
            file.write_bytes(gzip.compress(data) if suffix else data)


def replace(folder: Path, name: str, data: bytes) -> Path:
    file = folder / f"{name}.gz"
    file.write_bytes(gzip.compress(data))
    return file


def test_real_mnist(shared_data: Path) -> None:
    splits = load_dataset(f"mnist:{shared_data / 'mnist'}")
    assert splits.image_shape == (1, 28, 28)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [48000, 12000, 10000]
    # The official test split in its order: it starts 7, 2, 1, 0, 4, and has 980 zeros.
    assert splits.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert splits.test.labels.bincount()[0] == 980
    # Mean and deviation of MNIST's training images, 0.1307 and 0.3081, known from much code.
    assert splits.normalization.mean == pytest.approx((0.1307,), abs=1e-3)
    assert splits.normalization.std == pytest.approx((0.3081,), abs=1e-3)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("layout", ["", "raw", "MNIST/raw"])
def test_layouts(tmp_path: Path, layout: str, suffix: str) -> None:
    write_family(tmp_path / layout, suffix=suffix)
    splits = load_dataset(f"mnist:{tmp_path}")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [30, 10, 10]
    assert splits.test.labels.tolist() == list(range(10))


def test_mnist_beside_other_families(tmp_path: Path) -> None:
    write_family(tmp_path / "MNIST" / "raw")
    write_family(tmp_path / "FashionMNIST" / "raw")
    assert load_dataset(f"mnist:{tmp_path}").num_classes == 10
    with pytest.raises(DatasetError, match=r"holds several data sets; name one of .*FashionMNIST"):
        load_dataset(f"idx:{tmp_path}")
    assert load_dataset(f"idx:{tmp_path / 'FashionMNIST'}").num_classes == 10


def test_files_with_a_prefix_and_labels_from_one(tmp_path: Path) -> None:
    """EMNIST's letters: several sets in one folder, `test` for `t10k`, and no class 0."""
    write_family(tmp_path, prefix="emnist-letters-", test_name="test", first_label=1)
    write_family(tmp_path, prefix="emnist-digits-", test_name="test")
    splits = load_dataset(f"idx:{tmp_path / 'emnist-letters'}")
    assert splits.class_names == ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
    assert splits.test.labels.tolist() == list(range(10))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "f4", "f8"])
def test_value_types_and_channels(tmp_path: Path, dtype: str) -> None:
    write_family(tmp_path)
    images = (np.arange(40 * 3 * 2 * 2) % 100).reshape(40, 3, 2, 2)
    replace(tmp_path, "train-images-idx3-ubyte", idx_bytes(images.astype(dtype)))
    replace(tmp_path, "t10k-images-idx3-ubyte", idx_bytes(images[:10].astype(dtype)))
    splits = load_dataset(f"idx:{tmp_path}")
    assert splits.image_shape == (3, 2, 2)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in vars(splits.normalization).values())
    assert torch.allclose(splits.test.images[1] * std + mean, torch.arange(12.0, 24).view(3, 2, 2), atol=1e-4)


def test_missing_folder_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no folder at .*nowhere: looked for .*train-images-idx3-ubyte"):
        load_dataset(f"mnist:{tmp_path / 'nowhere'}")
    with pytest.raises(DatasetError, match=r"no IDX files below .*: looked for train-images-idx3-ubyte"):
        load_dataset(f"mnist:{tmp_path}")
    write_family(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetError, match=r"t10k-labels-idx1-ubyte \(or .*gz\) is missing"):
        load_dataset(f"mnist:{tmp_path}")


def test_truncated_gzip(tmp_path: Path) -> None:
    write_family(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(DatasetError, match=r"declares 40x5x5 values in 1000 bytes but \d+ were found"):
        load_dataset(f"mnist:{tmp_path}")


def test_damaged_gzip(tmp_path: Path) -> None:
    write_family(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    content = bytearray(file.read_bytes())
    content[200] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte\.gz cannot be read"):
        load_dataset(f"mnist:{tmp_path}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it starts with nothing"),
        (b"<html>not found", "is not an IDX file: it starts with 3c 68 74 6d"),
        (bytes([0, 0, 8, 3, 0, 0]), "ends inside its header of 16 bytes"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "4294967295x4294967295x4294967295 values .* but 0 were found"),
        (idx_bytes(np.zeros((40, 5, 5), np.uint8))[:-1], "in 1000 bytes but 999 were found, it is truncated"),
        (idx_bytes(np.zeros((40, 5, 5), np.uint8)) + b"!", "in 1000 bytes but more follow"),
        (idx_bytes(np.zeros((40, 25), np.uint8)), "images have 2 dimensions"),
        (idx_bytes(np.ones((39, 5, 5), np.uint8)), "39 training images but 40 labels"),
        (
            idx_bytes(np.ones((40, 6, 5), np.uint8)),
            "training images are 1x6x5 uint8 and test images 1x5x5 uint8",
        ),
    ],
)
def test_corrupt_images(tmp_path: Path, data: bytes, message: str) -> None:
    write_family(tmp_path)
    replace(tmp_path, "train-images-idx3-ubyte", data)
    with pytest.raises(DatasetError, match=message):
        load_dataset(f"mnist:{tmp_path}")


def test_label_out_of_range(tmp_path: Path) -> None:
    write_family(tmp_path)
    labels = (np.arange(40) % 10).astype(np.uint8)
    labels[17] = 10
    replace(tmp_path, "train-labels-idx1-ubyte", idx_bytes(labels))
    with pytest.raises(DatasetError, match="label 10 of training image 17 is out of range"):
        load_dataset(f"mnist:{tmp_path}")


def test_test_label_that_training_has_not(tmp_path: Path) -> None:
    write_family(tmp_path)
    replace(tmp_path, "t10k-labels-idx1-ubyte", idx_bytes(np.full(10, 11, np.uint8)))
    with pytest.raises(
        DatasetError, match="label 11 of test image 0 is out of range; the training labels are 0"
    ):
        load_dataset(f"idx:{tmp_path}")


def test_labels_that_are_no_integers(tmp_path: Path) -> None:
    write_family(tmp_path)
    replace(tmp_path, "train-labels-idx1-ubyte", idx_bytes(np.zeros(40, np.float32)))
    with pytest.raises(DatasetError, match="train labels are float32; expected integers"):
        load_dataset(f"idx:{tmp_path}")
