"""The 1,797 handwritten digits (8x8, grey) that come with scikit-learn: nothing to download."""

from pathlib import Path

import numpy as np

from gtn_core.data.raw import LabelledImages, RawDataset


def read_digits(_: Path) -> RawDataset:
    """Read the bundled digits; they take no path and have no official test split."""
    from sklearn.datasets import load_digits  # half a second to import, and no other format needs it

    bunch = load_digits()
    images = (bunch.images[:, None] / 16).astype(np.float32)  # stored as 0..16
    train = LabelledImages(images, bunch.target.astype(np.int64))
    return RawDataset(train, None, tuple(str(name) for name in bunch.target_names))
