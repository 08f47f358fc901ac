import io
import pickle
import runpy
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gtn_core.data import load_dataset
from gtn_core.errors import DatasetError

TRAIN = [f"data_batch_{number}" for number in range(1, 6)]


def batches() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pixels uint8 [20, 3072] and labels [20] of five training batches and the test batch."""
    rng = np.random.default_rng(0)
    return {
        name: (rng.integers(0, 256, (20, 3072), dtype=np.uint8), np.arange(20) % 10)
        for name in (*TRAIN, "test_batch")
    }


def binary_files() -> dict[str, bytes]:
    return {
        f"cifar-10-batches-bin/{name}.bin": np.column_stack([labels.astype(np.uint8), pixels]).tobytes()
        for name, (pixels, labels) in batches().items()
    }


def python_files() -> dict[str, bytes]:
    return {
        f"cifar-10-batches-py/{name}": pickle.dumps(
            {b"data": pixels, b"labels": labels.tolist(), b"batch_label": b"a batch"}, protocol=2
        )
        for name, (pixels, labels) in batches().items()
    }


def write_folder(path: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


PIXELS = np.zeros((20, 3072), np.uint8)
COUNTS = {"train": 400, "test": 100}
Files = Callable[[], dict[str, bytes]]


def test_every_official_form_gives_the_same_data(tmp_path: Path) -> None:
    write_folder(tmp_path / "bin", binary_files())
    write_folder(tmp_path / "py", python_files())
    write_archive(tmp_path / "cifar-10-binary.tar.gz", binary_files())
    write_archive(tmp_path / "python.tar.gz", python_files())
    paths = [
        tmp_path / "bin",
        tmp_path / "bin" / "cifar-10-batches-bin",
        tmp_path / "py",
        tmp_path / "py" / "cifar-10-batches-py",
        tmp_path,  # holds the archive
        tmp_path / "cifar-10-binary.tar.gz",
        tmp_path / "python.tar.gz",
    ]
    splits = [load_dataset(f"cifar10:{path}") for path in paths]
    assert len({each.fingerprint for each in splits}) == 1
    assert splits[0].image_shape == (3, 32, 32)
    assert splits[0].class_names[:2] == ("airplane", "automobile")
    assert [len(part) for part in (splits[0].train, splits[0].validation, splits[0].test)] == [80, 20, 20]
    pixels, labels = batches()["test_batch"]
    red = pixels[3, :1024].astype(np.float32).reshape(32, 32) / 255
    expected = (red - splits[0].normalization.mean[0]) / splits[0].normalization.std[0]
    np.testing.assert_allclose(splits[0].test.images[3, 0], expected, atol=1e-5)
    assert splits[0].test.labels.tolist() == labels.tolist()


def test_the_hundred_classes_of_cifar100(tmp_path: Path) -> None:
    """Superclasses stand beside the classes, before them in a binary record; only the classes count."""
    rng = np.random.default_rng(0)
    pixels = {name: rng.integers(0, 256, (count, 3072), dtype=np.uint8) for name, count in COUNTS.items()}
    labels = {name: np.arange(count) % 100 for name, count in COUNTS.items()}
    binary = {
        f"cifar-100-binary/{name}.bin": np.column_stack(
            [np.full_like(labels[name], 19), labels[name], pixels[name]]
        )
        .astype(np.uint8)
        .tobytes()
        for name in COUNTS
    }
    pickled = {
        f"cifar-100-python/{name}": pickle.dumps(
            {
                b"filenames": [b"a.png"] * count,
                b"fine_labels": labels[name].tolist(),
                b"coarse_labels": [19] * count,
                b"data": pixels[name],
            },
            protocol=2,
        )
        for name, count in COUNTS.items()
    }
    write_folder(tmp_path / "bin", binary)
    write_folder(
        tmp_path / "py", pickled | {"cifar-100-python/meta": pickle.dumps({b"fine_label_names": []})}
    )
    write_archive(tmp_path / "cifar-100-python.tar.gz", pickled)
    splits = [load_dataset(f"cifar100:{tmp_path / place}") for place in ("bin", "py", "")]
    assert len({each.fingerprint for each in splits}) == 1
    assert (splits[0].num_classes, splits[0].image_shape) == (100, (3, 32, 32))
    assert len(set(splits[0].class_names)) == 100
    assert list(splits[0].class_names) == sorted(splits[0].class_names)
    assert splits[0].class_names[99] == "worm"
    assert splits[0].test.labels.tolist() == labels["test"].tolist()
    blue = pixels["test"][7, 2048:].astype(np.float32).reshape(32, 32) / 255
    expected = (blue - splits[0].normalization.mean[2]) / splits[0].normalization.std[2]
    np.testing.assert_allclose(splits[0].test.images[7, 2], expected, atol=1e-5)
    with pytest.raises(DatasetError, match=r"no CIFAR-10 at .*looked for data_batch_1\.bin"):
        load_dataset(f"cifar10:{tmp_path / 'bin'}")


def test_cifar10_is_no_cifar100(tmp_path: Path) -> None:
    write_archive(tmp_path / "cifar-10-binary.tar.gz", binary_files())
    with pytest.raises(DatasetError, match=r"has no CIFAR-100 batches such as cifar-100-binary/train\.bin"):
        load_dataset(f"cifar100:{tmp_path / 'cifar-10-binary.tar.gz'}")


def test_real_photographs(shared_data: Path, tmp_path: Path) -> None:
    """One sheet of 1,000 pictures, written in the official format and read again without loss."""
    read_sheet = runpy.run_path(str(shared_data / "unpack_cifar10.py"))["read_sheet"]
    pictures = read_sheet(shared_data / "cifar10" / "test_000.webp")  # uint8 [1000, 3, 32, 32]
    labels = np.loadtxt(shared_data / "cifar10" / "labels.txt", dtype=np.uint8)[50_000:]
    records = np.column_stack([labels, pictures.reshape(1000, 3072)])
    files = {f"{name}.bin": records[index::6].tobytes() for index, name in enumerate((*TRAIN, "test_batch"))}
    write_folder(tmp_path, files)
    splits = load_dataset(f"cifar10:{tmp_path}")
    mean = np.array(splits.normalization.mean, np.float32).reshape(3, 1, 1)
    std = np.array(splits.normalization.std, np.float32).reshape(3, 1, 1)
    restored = (splits.test.images.numpy() * std + mean) * 255
    np.testing.assert_allclose(restored, pictures[5::6], atol=1e-2)
    assert splits.test.labels.tolist() == labels[5::6].tolist()


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"looked for data_batch_1\.bin, .*cifar-10-python\.tar\.gz"):
        load_dataset(f"cifar10:{tmp_path}")


@pytest.mark.parametrize("files", [binary_files, python_files])
def test_missing_batches(tmp_path: Path, files: Files) -> None:
    write_folder(tmp_path, {name: content for name, content in files().items() if "batch_3" not in name})
    with pytest.raises(DatasetError, match=r"batches data_batch_3(\.bin)? are missing"):
        load_dataset(f"cifar10:{tmp_path}")


@pytest.mark.parametrize("files", [binary_files, python_files])
def test_label_out_of_range(tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = batches()
    wrong["data_batch_2"][1][4] = 10
    monkeypatch.setitem(globals(), "batches", lambda: wrong)
    write_folder(tmp_path, files())
    with pytest.raises(DatasetError, match=r"data_batch_2(\.bin)?: label 10 of image 4 is out of range"):
        load_dataset(f"cifar10:{tmp_path}")


def test_truncated_binary_batch(tmp_path: Path) -> None:
    files = binary_files()
    files["cifar-10-batches-bin/data_batch_4.bin"] = files["cifar-10-batches-bin/data_batch_4.bin"][:-10]
    write_folder(tmp_path, files)
    with pytest.raises(DatasetError, match=r"data_batch_4\.bin has 61450 bytes.*: 19 records and 3063 bytes"):
        load_dataset(f"cifar10:{tmp_path}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(print), r"asks for builtins\.print"),
        (pickle.dumps([1]), "no b'data'"),
        (pickle.dumps({b"data": np.zeros((20, 3071), np.uint8), b"labels": [0] * 20}), "no b'data'"),
        (pickle.dumps({b"data": PIXELS, b"labels": ["0"] * 20}), "no b'labels'"),
        (pickle.dumps({b"data": PIXELS, b"labels": [0] * 19 + [2**70]}), f"label {2**70} of image 19 is out"),
        (pickle.dumps({b"data": PIXELS, b"labels": [0] * 19 + [-1]}), "label -1 of image 19 is out of range"),
        (python_files()["cifar-10-batches-py/data_batch_1"][:-100], "is no CIFAR-10 batch"),
    ],
)
def test_wrong_python_batch(tmp_path: Path, content: bytes, message: str) -> None:
    write_folder(tmp_path, python_files() | {"cifar-10-batches-py/data_batch_1": content})
    with pytest.raises(DatasetError, match=message):
        load_dataset(f"cifar10:{tmp_path}")


def test_lengths_that_agree_over_all_batches_and_not_in_each(tmp_path: Path) -> None:
    short, long = ({b"data": PIXELS, b"labels": [0] * count} for count in (19, 21))
    wrong = {
        "cifar-10-batches-py/data_batch_2": pickle.dumps(short),
        "cifar-10-batches-py/data_batch_3": pickle.dumps(long),
    }
    write_folder(tmp_path, python_files() | wrong)
    with pytest.raises(DatasetError, match=r"data_batch_2 has 20 images but 19 labels"):
        load_dataset(f"cifar10:{tmp_path}")


def test_archive_with_paths_that_lead_out_of_it(tmp_path: Path) -> None:
    """Only the six batches are read, into memory; a member's name is never used as a path."""
    file = tmp_path / "some" / "where" / "evil.tar.gz"
    file.parent.mkdir(parents=True)
    write_archive(file, {"../../escaped": b"x", "/absolute": b"x"} | binary_files())
    before = sorted(tmp_path.rglob("*"))
    assert load_dataset(f"cifar10:{file}").num_classes == 10
    assert sorted(tmp_path.rglob("*")) == before


def test_archive_with_a_link_for_a_batch(tmp_path: Path) -> None:
    file = tmp_path / "links.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DatasetError, match="has no CIFAR-10 batches"):
        load_dataset(f"cifar10:{file}")


@pytest.mark.parametrize("size", [0, 100, 50_000])
def test_truncated_archive(tmp_path: Path, size: int) -> None:
    file = tmp_path / "cifar-10-binary.tar.gz"
    write_archive(file, binary_files())
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(DatasetError, match=r"cifar-10-binary\.tar\.gz is no readable archive"):
        load_dataset(f"cifar10:{tmp_path}")
