"""Train, validation and test: seeded, disjoint, stratified, and normalised by the training split alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gtn_core.data.raw import LabelledImages, RawDataset, check
from gtn_core.data.spec import DatasetSpec
from gtn_core.errors import DatasetError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

HELD_OUT_SHARE = 0.2
"""Share of each class that becomes test where there is no official test split, and of the rest validation."""

_CHUNK = 1024  # images at a time, so that no temporary is as large as the data set


@dataclass(frozen=True, eq=False)
class Split:
    """Normalised images and their classes."""

    images: Tensor  # float32 [N, C, H, W]
    labels: Tensor  # int64 [N]

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str | torch.device) -> Split:
        """The same split on `device`."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Normalization:
    """`(pixel - mean) / std` per channel; unsigned integers are first divided by their type's maximum."""

    mean: tuple[float, ...]  # [C]
    std: tuple[float, ...]  # [C]


@dataclass(frozen=True, eq=False)
class DatasetSplits:
    """A data set ready for training. Raises DatasetError for splits that cannot be trained on.

    `fingerprint` fixes the pixels, the labels and the split of training and validation. Test images have no
    part in it: nothing is chosen on them, and who has fewer of them can still use a checkpoint. Of the test
    split no more than its shape and its labels' range is looked at before it is measured on.
    """

    dataset: DatasetSpec
    seed: int
    train: Split
    validation: Split
    test: Split
    normalization: Normalization
    class_names: tuple[str, ...]
    fingerprint: str
    earlier_fingerprint: str | None = None
    """As the first versions took it, of test images too."""

    def __post_init__(self) -> None:
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        for role, part in parts.items():
            _require_labelled_images(part, f"{self.dataset}: {role}")
            if part.images.shape[1:] != self.train.images.shape[1:]:
                raise DatasetError(
                    f"{self.dataset}: {role} images are {list(part.images.shape[1:])} and training images "
                    f"{list(self.train.images.shape[1:])}; make them equal"
                )
            _require_labels_of_classes(part, self.num_classes, f"{self.dataset}: {role}")
        for role in ("training", "validation"):
            _require_finite_pixels(parts[role], f"{self.dataset}: {role}")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    @property
    def num_classes(self) -> int:
        """Number of classes, those without a test image included."""
        return len(self.class_names)

    def current(self, fingerprint: str) -> str:
        """A fingerprint as it is taken now, where it is one that the first versions took of these data."""
        return self.fingerprint if fingerprint == self.earlier_fingerprint else fingerprint


def make_splits(raw: RawDataset, dataset: DatasetSpec, *, seed: int) -> DatasetSplits:
    """Check and split; train and validation are in an order drawn from `seed`, an official test as stored.

    Raises DatasetError for data that cannot be trained on, images that cannot be reduced to
    `dataset.image_size`, or a constant channel.
    """
    if seed < 0:
        raise DatasetError(f"{dataset}: split seed {seed} is negative; give 0 or more")
    check(raw, str(dataset))
    rng = np.random.default_rng(seed)
    pool, test = (raw.train, raw.test) if raw.test is not None else _hold_out(raw.train, rng)
    train, validation = _hold_out(pool, rng)
    parts = (train, validation, test)
    pixels = [_reduced(part.images, dataset) for part in parts]
    normalization = _normalization(pixels[0], dataset)
    normalised = [
        _normalised(images, part.labels, normalization) for images, part in zip(pixels, parts, strict=True)
    ]
    fingerprints = list(_fingerprints(parts, dataset.image_size))
    return DatasetSplits(
        dataset=dataset,
        seed=seed,
        train=normalised[0],
        validation=normalised[1],
        test=normalised[2],
        normalization=normalization,
        class_names=raw.class_names,
        fingerprint=fingerprints[1],
        earlier_fingerprint=fingerprints[2],
    )


def _require_labelled_images(part: Split, what: str) -> None:
    """Raise DatasetError unless these are images [N, C, H, W], none of these zero, and labels [N]."""
    import torch

    expected = {"images": (torch.float32, 4, "[N, C, H, W]"), "labels": (torch.int64, 1, "[N]")}
    for name, (dtype, dimensions, shape) in expected.items():
        tensor = getattr(part, name)
        if not isinstance(tensor, torch.Tensor):
            raise DatasetError(f"{what} {name} are a {type(tensor).__name__}; give a tensor {dtype} {shape}")
        if (tensor.dtype, tensor.dim()) != (dtype, dimensions) or not tensor.numel():
            raise DatasetError(
                f"{what} {name} are {tensor.dtype} {list(tensor.shape)}; expected {dtype} {shape}, none zero"
            )
    if len(part.images) != len(part.labels):
        raise DatasetError(f"{what} has {len(part.images)} images but {len(part.labels)} labels")


def _require_labels_of_classes(part: Split, num_classes: int, what: str) -> None:
    """Raise DatasetError unless labels are in [0, K)."""
    import torch

    lowest, highest = torch.stack(part.labels.aminmax()).tolist()
    if lowest < 0 or highest >= num_classes:
        raise DatasetError(
            f"{what} labels are from {lowest} to {highest}; number the {num_classes} classes from 0 to "
            f"{num_classes - 1}"
        )


def _require_finite_pixels(part: Split, what: str) -> None:
    """Raise DatasetError unless all pixels are finite."""
    import torch

    if not torch.stack(part.images.aminmax()).isfinite().all():  # NaN passes through both
        raise DatasetError(f"{what} images have pixels that are not finite; leave those images out")


def _hold_out(pool: LabelledImages, rng: np.random.Generator) -> tuple[LabelledImages, LabelledImages]:
    """Return (rest, held out): of every class a share, at least one, in an order drawn from `rng`."""
    order = rng.permutation(len(pool))
    held_out = np.zeros(len(pool), dtype=bool)  # by position in `order`
    for label, count in enumerate(np.bincount(pool.labels)):
        positions = np.flatnonzero(pool.labels[order] == label)
        held_out[positions[: max(1, round(HELD_OUT_SHARE * int(count)))]] = True
    return _take(pool, order[~held_out]), _take(pool, order[held_out])


def _take(part: LabelledImages, index: NDArray[np.intp]) -> LabelledImages:
    return LabelledImages(part.images[index], part.labels[index])


def _reduced(images: NDArray[Any], dataset: DatasetSpec) -> NDArray[np.float32]:
    """Pixels as floating point, at the size that is asked for."""
    size, (height, width) = dataset.image_size, images.shape[2:]
    if size is None or size == height == width:
        return _as_float(images)
    if height != width or size > height:
        raise DatasetError(
            f"{dataset}: images are {height}x{width}; image_size {size} needs square ones at least as large"
        )
    import torch
    from torch.nn.functional import interpolate

    chunks = (torch.from_numpy(_as_float(chunk)) for chunk in _chunks(images))
    return torch.cat([interpolate(chunk, size=(size, size), mode="area") for chunk in chunks]).numpy()


def _as_float(images: NDArray[Any]) -> NDArray[np.float32]:
    pixels = images.astype(np.float32)
    if images.dtype.kind == "u":
        pixels /= np.float32(np.iinfo(images.dtype).max)
    return pixels


def _normalization(images: NDArray[np.float32], dataset: DatasetSpec) -> Normalization:
    """Mean and standard deviation per channel, summed in float64."""
    axes, count = (0, 2, 3), images.size // images.shape[1]
    constant = np.flatnonzero(images.min(axis=axes) == images.max(axis=axes))
    if len(constant):
        raise DatasetError(
            f"{dataset}: channel {constant[0]} has zero variance over the training split and cannot be "
            "normalised",
            remedy="drop it",
        )
    mean = sum(chunk.sum(axis=axes, dtype=np.float64) for chunk in _chunks(images)) / count
    centre = mean.reshape(1, -1, 1, 1)
    variance = sum(np.square(chunk - centre).sum(axis=axes) for chunk in _chunks(images)) / count
    return Normalization(tuple(mean.tolist()), tuple(np.sqrt(variance).tolist()))


def _normalised(
    images: NDArray[np.float32], labels: NDArray[np.int64], normalization: Normalization
) -> Split:
    """Normalise `images` in place."""
    import torch

    images -= np.array(normalization.mean, dtype=np.float32).reshape(1, -1, 1, 1)
    images /= np.array(normalization.std, dtype=np.float32).reshape(1, -1, 1, 1)
    return Split(torch.from_numpy(images), torch.from_numpy(labels.copy()))


def _fingerprints(parts: tuple[LabelledImages, ...], image_size: int | None) -> Iterator[str]:
    """SHA-256 over the stored pixels and labels, so that rounding on another machine does not change it.

    One after each part, of all until then.
    """
    digest = hashlib.sha256(f"image_size={image_size}".encode())
    for part in parts:
        little_endian = part.images.dtype.newbyteorder("<")
        digest.update(f"{little_endian.str}{part.images.shape}".encode())
        for chunk in _chunks(part.images):
            digest.update(chunk.astype(little_endian, copy=False).tobytes())
        digest.update(part.labels.astype("<i8", copy=False).tobytes())
        yield digest.hexdigest()


def _chunks(images: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(images), _CHUNK):
        yield images[start : start + _CHUNK]
