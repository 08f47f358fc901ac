"""NumPy archives: `images` and `labels`, or `x_train`, `y_train`, `x_test`, `y_test`."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_core.data.raw import LabelledImages, RawDataset, number_classes
from gtn_core.errors import DatasetError

_WHOLE, _TRAIN, _TEST = ("images", "labels"), ("x_train", "y_train"), ("x_test", "y_test")
_CHANNELS = (1, 3, 4)


def read_npz(path: Path) -> RawDataset:
    """Read arrays of images, [N, H, W], [N, C, H, W] or [N, H, W, C], and integer labels, [N] or [N, 1].

    Integer pixels must be unsigned; floats are taken as they are. The label values are the classes. Nothing
    is unpickled. Raises DatasetError.
    """
    arrays = _read_arrays(path)
    if arrays.keys() == set(_WHOLE):
        return number_classes(_part(arrays, _WHOLE, path), None, str(path))
    return number_classes(_part(arrays, _TRAIN, path), _part(arrays, _TEST, path), str(path))


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise DatasetError(f"no file at {path}; npz:PATH reads a NumPy archive (.npz)")
    if not zipfile.is_zipfile(path):
        raise DatasetError(f"{path} is truncated or no NumPy archive (.npz); write it with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as archive:
            for names in (_WHOLE, _TRAIN + _TEST):
                if set(names) <= set(archive.files):
                    return {name: archive[name] for name in names}
            found = archive.files
    except (ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"{path} is no readable NumPy archive: {error}") from error
    raise DatasetError(
        f"{path} has the arrays {', '.join(found) or 'none'}; "
        f"expected {' and '.join(_WHOLE)}, or {', '.join(_TRAIN + _TEST)}"
    )


def _part(arrays: dict[str, NDArray[Any]], names: tuple[str, str], path: Path) -> LabelledImages:
    images, labels = (arrays[name] for name in names)
    if images.dtype.kind not in "uf":
        raise DatasetError(
            f"{path}: {names[0]} are {images.dtype}; expected unsigned integers or floats"
            f"{_conversion_of_images(images, names[0])}"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DatasetError(
            f"{path}: {names[1]} are {labels.dtype} {list(labels.shape)}; expected one integer for each image"
            f"{_conversion_of_labels(labels, names[1])}"
        )
    outside = labels[(labels < 0) | (labels > np.iinfo(np.int64).max)]
    if outside.size:
        raise DatasetError(
            f"{path}: {names[1]} has the label {outside[0]}, out of range; labels start at 0, below 2**63"
        )
    return LabelledImages(_channels_first(images, f"{path}: {names[0]}"), labels.astype(np.int64))


def _conversion_of_images(images: NDArray[Any], name: str) -> str:
    """The way to images that can be read: most signed integers are bytes that were computed with."""
    if images.dtype.kind not in "bi":
        return ""
    bytes_ = images.dtype.kind == "i" and images.size and images.min() >= 0 and images.max() <= 255
    return f"; save {name}.astype('{'uint8' if bytes_ else 'float32'}')"


def _conversion_of_labels(labels: NDArray[Any], name: str) -> str:
    """The way to labels that can be read, where their values tell."""
    if labels.ndim == 1 and labels.dtype.kind in "US":
        return f"; number the names: save numpy.unique({name}, return_inverse=True)[1]"
    if labels.ndim == 1 and (labels.dtype.kind == "b" or (labels.dtype.kind == "f" and _whole(labels))):
        return f"; save {name}.astype('int64')"
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and (np.count_nonzero(labels, axis=1) == 1).all():
        return f"; save {name}.argmax(axis=1)"
    return ""


def _whole(numbers: NDArray[Any]) -> bool:
    return bool((np.isfinite(numbers) & (numbers == np.floor(numbers))).all())


def _channels_first(images: NDArray[Any], source: str) -> NDArray[Any]:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4:
        _, height, width, channels = images.shape
        first, last = height in _CHANNELS, channels in _CHANNELS
        # Where both may be channels, as in [N, 4, 4, 3], images are more likely square than not.
        if last and (not first or height == width != channels):
            return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        if first:
            return images
    raise DatasetError(
        f"{source} have shape {list(images.shape)}; expected [N, H, W], [N, C, H, W] or [N, H, W, C] "
        f"with {', '.join(map(str, _CHANNELS))} channels"
    )
