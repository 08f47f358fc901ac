"""The 1,797 handwritten digits (8x8, grey) that come with scikit-learn: nothing to download."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gtn_core.data.raw import LabelledImages, RawDataset


def read_digits(_: Path) -> RawDataset:
    """Read the bundled digits; they take no path and have no official test split."""
    pixels, labels = _table()
    images = (pixels.reshape(-1, 1, 8, 8) / 16).astype(np.float32)  # stored as 0..16
    return RawDataset(LabelledImages(images, labels.astype(np.int64)), None, tuple("0123456789"))


def _table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels [N, 64] and labels [N].

    Importing scikit-learn takes longer than a brief training, in each process that reads the digits; it is
    not imported where its file lies as ever.
    """
    package = find_spec("sklearn")
    if package is not None and package.origin is not None:
        file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1]
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return pixels, labels
