"""CIFAR-10 and CIFAR-100 from the official archives (Krizhevsky, 2009): binary or Python, unpacked or not.

A file holds a batch of images. A record of the binary version is one label byte, two in CIFAR-100 (of the
superclass, then of the class), and 3,072 pixel bytes (red, green, blue planes of 32x32); a batch of the
Python version is a pickled dict.
"""

import pickle
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gtn_core.data.array_pickle import load_array_pickle
from gtn_core.data.raw import LabelledImages, RawDataset
from gtn_core.errors import DatasetError

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Version:
    """One of the two forms in which a data set is given out."""

    folder: str
    archive: str
    suffix: str  # of the batches' files
    pickled: bool


@dataclass(frozen=True)
class _Dataset:
    """What tells the two data sets apart."""

    name: str
    train: tuple[str, ...]
    test: str
    label_bytes: int  # of a binary record; the last one is the class
    label_key: bytes  # of a pickled batch
    max_batch_bytes: int  # twice the official size; an archive's member may claim to be anything
    versions: tuple[_Version, ...]
    class_names: tuple[str, ...]

    def files(self, version: _Version) -> list[str]:
        """The files of all batches, the test batch last."""
        return [batch + version.suffix for batch in (*self.train, self.test)]


def read_cifar10(path: Path) -> RawDataset:
    """Read the folder of batches, a folder that has it or the archive inside, or the archive itself.

    Raises DatasetError.
    """
    return _read(path, _CIFAR10)


def read_cifar100(path: Path) -> RawDataset:
    """Read CIFAR-100 with its 100 classes, from the same places as `read_cifar10`. Raises DatasetError."""
    return _read(path, _CIFAR100)


def _read(path: Path, dataset: _Dataset) -> RawDataset:
    version, batches = _batches(path, dataset)
    files = dataset.files(version)
    missing = [name for name in files if name not in batches]
    if missing:
        raise DatasetError(
            f"{path}: {dataset.name} batches {', '.join(missing)} are missing",
            remedy="fetch the archive again",
        )
    parse = _parse_pickled if version.pickled else _parse_binary
    *train, test = (parse(batches[name], dataset, f"{path}: {name}") for name in files)
    return RawDataset(
        LabelledImages(
            np.concatenate([part.images for part in train]), np.concatenate([part.labels for part in train])
        ),
        test,
        dataset.class_names,
    )


def _batches(path: Path, dataset: _Dataset) -> tuple[_Version, Mapping[str, bytes]]:
    """Find the batches at `path`, whichever form they have, and return their bytes by name."""
    if path.is_file():
        return _read_archive(path, dataset)
    for version in dataset.versions:
        for folder in (path, path / version.folder):
            if (folder / dataset.files(version)[0]).is_file():
                return version, _read_folder(folder, dataset.files(version))
    for version in dataset.versions:
        if (path / version.archive).is_file():
            return _read_archive(path / version.archive, dataset)
    looked_for = ", ".join(
        f"{dataset.files(version)[0]}, {version.folder}/, {version.archive}" for version in dataset.versions
    )
    raise DatasetError(f"no {dataset.name} at {path}: looked for {looked_for}")


def _read_folder(folder: Path, names: list[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def _read_archive(file: Path, dataset: _Dataset) -> tuple[_Version, dict[str, bytes]]:
    """Read the batches straight from the archive; nothing is extracted, so no name in it can be a path."""
    known = {
        (version.folder, name): version for version in dataset.versions for name in dataset.files(version)
    }
    found: dict[_Version, dict[str, bytes]] = {}
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts[-2:]
                version = known.get((parts[0], parts[1])) if len(parts) == 2 else None
                content = archive.extractfile(member) if version and member.isreg() else None
                if version and content:
                    found.setdefault(version, {})[parts[1]] = content.read(dataset.max_batch_bytes)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DatasetError(f"{file} is no readable archive: {error}", remedy="fetch it again") from error
    if not found:
        folder, name = next(iter(known))
        raise DatasetError(f"{file} has no {dataset.name} batches such as {folder}/{name}")
    return next(iter(found.items()))


def _parse_binary(content: bytes, dataset: _Dataset, source: str) -> LabelledImages:
    width = dataset.label_bytes + _PIXELS
    records, rest = divmod(len(content), width)
    if rest or not records:
        raise DatasetError(
            f"{source} has {len(content)} bytes, which is no whole number of records of {width}: "
            f"{records} records and {rest} bytes; it is truncated or not of {dataset.name}"
        )
    table = np.frombuffer(content, dtype=np.uint8).reshape(records, width)
    labels = table[:, dataset.label_bytes - 1].tolist()
    return _checked(table[:, dataset.label_bytes :], labels, dataset, source)


def _parse_pickled(content: bytes, dataset: _Dataset, source: str) -> LabelledImages:
    try:
        batch = load_array_pickle(content)
    except pickle.UnpicklingError as error:
        raise DatasetError(f"{source} is no {dataset.name} batch: {error}") from error
    fields = batch if isinstance(batch, dict) else {}
    pixels, labels = fields.get(b"data"), fields.get(dataset.label_key)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (_PIXELS,):
        raise DatasetError(f"{source} has no b'data' of uint8 [N, {_PIXELS}]")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise DatasetError(f"{source} has no {dataset.label_key!r} as a list of integers")
    return _checked(pixels, labels, dataset, source)


def _checked(pixels: NDArray[np.uint8], labels: list[int], dataset: _Dataset, source: str) -> LabelledImages:
    """Checked by itself: put together, images of one batch would meet the labels of another."""
    if len(pixels) != len(labels):
        raise DatasetError(
            f"{source} has {len(pixels)} images but {len(labels)} labels", remedy="fetch it again"
        )
    for number, label in enumerate(labels):
        if not 0 <= label < len(dataset.class_names):
            raise DatasetError(
                f"{source}: label {label} of image {number} is out of range; the classes are numbered 0 to "
                f"{len(dataset.class_names) - 1}"
            )
    return LabelledImages(pixels.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64))


_CIFAR10 = _Dataset(
    "CIFAR-10",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    label_bytes=1,
    label_key=b"labels",
    max_batch_bytes=64 << 20,
    versions=(
        _Version("cifar-10-batches-bin", "cifar-10-binary.tar.gz", ".bin", pickled=False),
        _Version("cifar-10-batches-py", "cifar-10-python.tar.gz", "", pickled=True),
    ),
    class_names=(
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
)  # fmt: skip

_CIFAR100 = _Dataset(
    "CIFAR-100",
    train=("train",),
    test="test",
    label_bytes=2,
    label_key=b"fine_labels",
    max_batch_bytes=320 << 20,
    versions=(
        _Version("cifar-100-binary", "cifar-100-binary.tar.gz", ".bin", pickled=False),
        _Version("cifar-100-python", "cifar-100-python.tar.gz", "", pickled=True),
    ),
    class_names=(
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
        "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
        "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
        "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo",
        "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree",
        "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree",
        "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit",
        "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
        "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
        "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe",
        "whale", "willow_tree", "wolf", "woman", "worm",
    ),
)  # fmt: skip
