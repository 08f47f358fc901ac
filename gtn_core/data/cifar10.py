"""CIFAR-10 from the official archives (Krizhevsky, 2009): binary or Python, unpacked or as .tar.gz.

Six batches: five of training images and one of test images. A record of the binary version is a label byte
and 3,072 pixel bytes (red, green, blue planes of 32x32); a batch of the Python version is a pickled dict.
"""

import pickle
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gtn_core.data.array_pickle import load_array_pickle
from gtn_core.data.raw import LabelledImages, RawDataset
from gtn_core.errors import DatasetError

CLASS_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

_PIXELS = 3 * 32 * 32
_MAX_BATCH_BYTES = 64 << 20  # twice the official size; an archive's member may claim to be anything


@dataclass(frozen=True)
class _Version:
    """One of the two official forms."""

    folder: str
    archive: str
    suffix: str
    parse: Callable[[bytes, str], LabelledImages]

    @property
    def train_names(self) -> list[str]:
        return [f"data_batch_{number}{self.suffix}" for number in range(1, 6)]

    @property
    def test_name(self) -> str:
        return f"test_batch{self.suffix}"


def read_cifar10(path: Path) -> RawDataset:
    """Read the folder of batches, a folder that has it or the archive inside, or the archive itself.

    Raises DatasetError.
    """
    version, batches = _batches(path)
    missing = [name for name in (*version.train_names, version.test_name) if name not in batches]
    if missing:
        raise DatasetError(
            f"{path}: CIFAR-10 batches {', '.join(missing)} are missing; fetch the archive again"
        )
    parts = {name: version.parse(content, f"{path}: {name}") for name, content in batches.items()}
    train = [parts[name] for name in version.train_names]
    return RawDataset(
        LabelledImages(
            np.concatenate([part.images for part in train]), np.concatenate([part.labels for part in train])
        ),
        parts[version.test_name],
        CLASS_NAMES,
    )


def _batches(path: Path) -> tuple[_Version, Mapping[str, bytes]]:
    """Find the batches at `path`, whichever form they have, and return their bytes by name."""
    if path.is_file():
        return _read_archive(path)
    for version in _VERSIONS:
        for folder in (path, path / version.folder):
            if (folder / version.train_names[0]).is_file():
                return version, _read_folder(folder, version)
    for version in _VERSIONS:
        if (path / version.archive).is_file():
            return _read_archive(path / version.archive)
    looked_for = ", ".join(
        f"{version.train_names[0]}, {version.folder}/, {version.archive}" for version in _VERSIONS
    )
    raise DatasetError(f"no CIFAR-10 at {path}: looked for {looked_for}")


def _read_folder(folder: Path, version: _Version) -> dict[str, bytes]:
    files = {name: folder / name for name in (*version.train_names, version.test_name)}
    return {name: file.read_bytes() for name, file in files.items() if file.is_file()}


def _read_archive(file: Path) -> tuple[_Version, dict[str, bytes]]:
    """Read the batches straight from the archive; nothing is extracted, so no name in it can be a path."""
    known = {
        (version.folder, name): version
        for version in _VERSIONS
        for name in (*version.train_names, version.test_name)
    }
    found: dict[_Version, dict[str, bytes]] = {}
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts[-2:]
                version = known.get((parts[0], parts[1])) if len(parts) == 2 else None
                content = archive.extractfile(member) if version and member.isreg() else None
                if version and content:
                    found.setdefault(version, {})[parts[1]] = content.read(_MAX_BATCH_BYTES)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DatasetError(f"{file} is no readable archive: {error}; fetch it again") from error
    if not found:
        raise DatasetError(f"{file} has no CIFAR-10 batches such as cifar-10-batches-bin/data_batch_1.bin")
    return next(iter(found.items()))


def _parse_binary(content: bytes, source: str) -> LabelledImages:
    records, rest = divmod(len(content), 1 + _PIXELS)
    if rest or not records:
        raise DatasetError(
            f"{source} has {len(content)} bytes, which is no whole number of records of {1 + _PIXELS}: "
            f"{records} records and {rest} bytes; it is truncated or not of CIFAR-10"
        )
    table = np.frombuffer(content, dtype=np.uint8).reshape(records, 1 + _PIXELS)
    return _batch(table[:, 1:], table[:, 0].tolist(), source)


def _parse_python(content: bytes, source: str) -> LabelledImages:
    try:
        batch = load_array_pickle(content)
    except pickle.UnpicklingError as error:
        raise DatasetError(f"{source} is no CIFAR-10 batch: {error}") from error
    pixels, labels = (batch.get(b"data"), batch.get(b"labels")) if isinstance(batch, dict) else (None, None)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (_PIXELS,):
        raise DatasetError(f"{source} has no b'data' of uint8 [N, {_PIXELS}]")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise DatasetError(f"{source} has no b'labels' as a list of integers")
    return _batch(pixels, labels, source)


def _batch(pixels: NDArray[np.uint8], labels: list[int], source: str) -> LabelledImages:
    """Checked by itself: put together, images of one batch would meet the labels of another."""
    if len(pixels) != len(labels):
        raise DatasetError(f"{source} has {len(pixels)} images but {len(labels)} labels; fetch it again")
    for number, label in enumerate(labels):
        if not 0 <= label < len(CLASS_NAMES):
            raise DatasetError(
                f"{source}: label {label} of image {number} is out of range; the classes are numbered 0 to "
                f"{len(CLASS_NAMES) - 1}"
            )
    return LabelledImages(pixels.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64))


_VERSIONS = (
    _Version("cifar-10-batches-bin", "cifar-10-binary.tar.gz", ".bin", _parse_binary),
    _Version("cifar-10-batches-py", "cifar-10-python.tar.gz", "", _parse_python),
)
