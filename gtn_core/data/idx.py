"""IDX files: MNIST and the families that copy its format (Fashion-MNIST, KMNIST, EMNIST), plain or gzip.

An IDX file is two zero bytes, a type code, the number of dimensions, each dimension as a big-endian uint32,
and the values (format description on the MNIST page of LeCun, Cortes and Burges).
"""

import gzip
import struct
import zlib
from glob import escape
from io import BufferedIOBase
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_core.data.raw import LabelledImages, RawDataset, number_classes
from gtn_core.errors import DatasetError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_BLOCK = 1 << 24  # bytes read at a time, so that a false header cannot claim all memory
_TRAIN, _TEST = ("train",), ("t10k", "test")


def read_mnist(path: Path) -> RawDataset:
    """Read MNIST: ten classes, named by their digit. `path` as for `read_idx`, where MNIST/ comes first."""
    train, test = _read_parts(path / "MNIST" if (path / "MNIST").is_dir() else path)
    return RawDataset(train, test, tuple("0123456789"))


def read_idx(path: Path) -> RawDataset:
    """Read any IDX family; its label values are its classes.

    `path` is the folder of the four files, a folder above it as torchvision lays them out (`raw/` or
    `NAME/raw/`), or the start of the files' names (`FOLDER/emnist-letters`). Raises DatasetError.
    """
    return number_classes(*_read_parts(path), str(path))


def _read_parts(path: Path) -> tuple[LabelledImages, LabelledImages]:
    folder, prefix = (path, "") if path.is_dir() else (path.parent, f"{path.name}-")
    folder = _folder_of_files(folder, prefix, path)
    return _read_part(folder, prefix, _TRAIN), _read_part(folder, prefix, _TEST)


def _folder_of_files(folder: Path, prefix: str, path: Path) -> Path:
    """The folder itself, or the one folder below it in torchvision's layout, that has training images."""
    candidates = [folder, folder / "raw", *sorted(folder.glob("*/raw"))]
    found = [candidate for candidate in candidates if _find(candidate, prefix, _TRAIN, "images")]
    if not found:
        problem = f"no folder at {path}" if prefix else f"no IDX files below {path}"
        raise DatasetError(
            f"{problem}: looked for {prefix}train-images-idx3-ubyte, plain or .gz, "
            f"in {folder}, {folder / 'raw'} and {folder / '*' / 'raw'}"
        )
    if len(found) > 1 and folder not in found:
        raise DatasetError(
            f"{path} holds several data sets", remedy=f"name one of {', '.join(map(str, found))}"
        )
    return found[0]


def _find(folder: Path, prefix: str, roles: tuple[str, ...], content: str) -> Path | None:
    patterns = [
        f"{escape(prefix)}{role}-{content}[-.]idx?-ubyte{suffix}" for role in roles for suffix in ("", ".gz")
    ]
    return next((file for pattern in patterns for file in sorted(folder.glob(pattern))), None)


def _read_part(folder: Path, prefix: str, roles: tuple[str, ...]) -> LabelledImages:
    arrays = {}
    for content, dimensions in (("images", "3"), ("labels", "1")):
        file = _find(folder, prefix, roles, content)
        if file is None:
            name = f"{prefix}{roles[0]}-{content}-idx{dimensions}-ubyte"
            raise DatasetError(f"{folder / name} (or {name}.gz) is missing")
        arrays[content] = _read_array(file)
    images, labels = arrays["images"], arrays["labels"]
    if images.ndim not in (3, 4) or labels.ndim != 1:
        raise DatasetError(
            f"{folder}: {roles[0]} images have {images.ndim} dimensions and labels {labels.ndim}; "
            "expected 3 (or 4, with channels) and 1"
        )
    if labels.dtype.kind == "f":
        raise DatasetError(f"{folder}: {roles[0]} labels are {labels.dtype}; expected integers")
    return LabelledImages(images[:, None] if images.ndim == 3 else images, labels.astype(np.int64))


def _read_array(file: Path) -> NDArray[Any]:
    """Read one IDX file. Raises DatasetError with the sizes declared and found when they differ."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            return _parse(stream, file)
    except (OSError, zlib.error) as error:
        raise DatasetError(f"{file} cannot be read: {error}", remedy="fetch it again") from error


def _parse(stream: BufferedIOBase | gzip.GzipFile, file: Path) -> NDArray[Any]:
    magic = _read_up_to(stream, 4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] == 0:
        raise DatasetError(f"{file} is not an IDX file: it starts with {magic.hex(' ') or 'nothing'}")
    dtype, dimensions = np.dtype(_TYPES[magic[2]]), magic[3]
    header = _read_up_to(stream, 4 * dimensions)
    if len(header) < 4 * dimensions:
        raise DatasetError(f"{file} is truncated: it ends inside its header of {4 + 4 * dimensions} bytes")
    shape = struct.unpack(f">{dimensions}I", header)
    declared = prod(shape) * dtype.itemsize
    content = _read_up_to(stream, declared + 1)
    if len(content) != declared:
        found = "more follow" if len(content) > declared else f"{len(content)} were found, it is truncated"
        size = "x".join(map(str, shape))
        raise DatasetError(f"{file}: its header declares {size} values in {declared} bytes but {found}")
    return np.frombuffer(content, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _read_up_to(stream: BufferedIOBase | gzip.GzipFile, size: int) -> bytes:
    """Read `size` bytes, or fewer where the file ends or its gzip stream breaks off."""
    content = bytearray()
    while len(content) < size:
        try:
            block = stream.read(min(size - len(content), _BLOCK))
        except EOFError:  # gzip's word for a stream without its end
            break
        if not block:
            break
        content += block
    return bytes(content)
