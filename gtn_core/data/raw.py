"""What every format's reader returns, and the checks that each data set passes before any training."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_core.errors import DatasetError


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Pixels as stored, and the class of each image."""

    images: NDArray[Any]  # [N, C, H, W], integers or floats
    labels: NDArray[np.int64]  # [N], in [0, K)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class RawDataset:
    """A data set as its files hold it; `test` is None where there is no official test split."""

    train: LabelledImages
    test: LabelledImages | None
    class_names: tuple[str, ...]


def number_classes(train: LabelledImages, test: LabelledImages | None, source: str) -> RawDataset:
    """Take each label value found in `train` for a class, in ascending order, and name it by its value.

    A family whose labels start at 1 needs no special case. Raises DatasetError for a value that is in
    `test` alone.
    """
    values = np.unique(train.labels)
    names = tuple(str(value) for value in values)
    if test is not None and (unknown := np.flatnonzero(~np.isin(test.labels, values))).size:
        raise DatasetError(
            f"{source}: label {test.labels[unknown[0]]} of test image {unknown[0]} is out of range; "
            f"the training labels are {_shortened(names)}"
        )

    def numbered(part: LabelledImages) -> LabelledImages:
        return LabelledImages(part.images, np.searchsorted(values, part.labels).astype(np.int64))

    return RawDataset(numbered(train), None if test is None else numbered(test), names)


def check(raw: RawDataset, source: str) -> None:
    """Raise DatasetError, naming `source` and the place, unless `raw` can be split and trained on."""
    if len(raw.class_names) < 2:
        raise DatasetError(
            f"{source}: found {len(raw.class_names)} class(es); classification needs at least 2"
        )
    _check_part(raw.train, "training", raw, source)
    if raw.test is not None:
        _check_part(raw.test, "test", raw, source)
        train_kind, test_kind = _kind(raw.train), _kind(raw.test)
        if train_kind != test_kind:
            raise DatasetError(
                f"{source}: training images are {train_kind} and test images {test_kind}; make them equal"
            )
    _check_class_sizes(raw, source)


def _check_part(part: LabelledImages, role: str, raw: RawDataset, source: str) -> None:
    images, labels = part.images, part.labels
    if images.ndim != 4 or 0 in images.shape:
        raise DatasetError(
            f"{source}: {role} images have shape {images.shape}; expected [N, C, H, W], none zero"
        )
    if len(images) != len(labels):
        raise DatasetError(f"{source}: {len(images)} {role} images but {len(labels)} labels")
    out_of_range = np.flatnonzero((labels < 0) | (labels >= len(raw.class_names)))
    if len(out_of_range):
        first = out_of_range[0]
        raise DatasetError(
            f"{source}: label {labels[first]} of {role} image {first} is out of range; "
            f"the classes are numbered 0 to {len(raw.class_names) - 1}"
        )
    if images.dtype.kind == "f":
        # Neither NaN nor an infinity is within the range, and training is in float32.
        finite = (np.abs(images) <= np.finfo(np.float32).max).all(axis=(1, 2, 3))
        if not finite.all():
            raise DatasetError(
                f"{source}: {np.count_nonzero(~finite)} {role} image(s) have non-finite pixels, "
                f"the first is number {np.argmin(finite)}"
            )


def _kind(part: LabelledImages) -> str:
    channels, height, width = part.images.shape[1:]
    return f"{channels}x{height}x{width} {part.images.dtype}"


def _check_class_sizes(raw: RawDataset, source: str) -> None:
    parts = ("train", "validation") if raw.test is not None else ("train", "validation", "test")
    counts = np.bincount(raw.train.labels, minlength=len(raw.class_names))
    smallest = int(counts.argmin())
    if counts[smallest] < len(parts):
        raise DatasetError(
            f"{source}: class {raw.class_names[smallest]!r} has {counts[smallest]} training example(s); "
            f"each class needs at least {len(parts)}, one for each of {', '.join(parts)}"
        )


def _shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:5])}, ..., {names[-1]}"
