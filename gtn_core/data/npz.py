"""NumPy archives: `images` and `labels`, or `x_train`, `y_train`, `x_test`, `y_test`."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_core.data.arrays import labelled_images
from gtn_core.data.raw import RawDataset, number_classes
from gtn_core.errors import DatasetError

_WHOLE, _TRAIN, _TEST = ("images", "labels"), ("x_train", "y_train"), ("x_test", "y_test")


def read_npz(path: Path) -> RawDataset:
    """Read arrays as `splits_from_arrays` takes them. Nothing is unpickled. Raises DatasetError."""
    arrays = _read_arrays(path)
    if arrays.keys() == set(_WHOLE):
        return number_classes(labelled_images(arrays, _WHOLE, str(path)), None, str(path))
    train, test = (labelled_images(arrays, names, str(path)) for names in (_TRAIN, _TEST))
    return number_classes(train, test, str(path))


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise DatasetError(f"no file at {path}; npz:PATH reads a NumPy archive (.npz)")
    if not zipfile.is_zipfile(path):
        raise DatasetError(
            f"{path} is truncated or no NumPy archive (.npz)", remedy="write it with numpy.savez"
        )
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
