"""Arrays of images and labels that a program already has, as a data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gtn_core.data.raw import LabelledImages, number_classes
from gtn_core.data.spec import DatasetSpec
from gtn_core.data.splits import DatasetSplits, make_splits
from gtn_core.errors import DatasetError

if TYPE_CHECKING:
    from torch import Tensor

_CHANNELS = (1, 3, 4)


def splits_from_arrays(
    images: NDArray[Any] | Tensor,
    labels: NDArray[Any] | Tensor,
    test_images: NDArray[Any] | Tensor | None = None,
    test_labels: NDArray[Any] | Tensor | None = None,
    *,
    seed: int = 0,
    dataset: str | DatasetSpec = "arrays",
) -> DatasetSplits:
    """Split images [N, H, W], [N, C, H, W] or [N, H, W, C] and integer labels [N] or [N, 1] by `seed`.

    Without test images a share of each class becomes test. Integer pixels must be unsigned; floats are taken
    as they are. The label values are the classes. Errors and checkpoints call the data `dataset`, as
    `load_dataset` would: `arrays@16` reduces square images to 16x16. Raises DatasetError.
    """
    spec = DatasetSpec.of(dataset)
    given = {"images": images, "labels": labels, "test_images": test_images, "test_labels": test_labels}
    arrays = {name: _array(each, f"{spec}: {name}") for name, each in given.items() if each is not None}
    train, test = labelled_images(arrays, ("images", "labels"), str(spec)), None
    if "test_images" in arrays or "test_labels" in arrays:
        test = labelled_images(arrays, ("test_images", "test_labels"), str(spec))
    return make_splits(number_classes(train, test, str(spec)), spec, seed=seed)


def _array(given: Any, what: str) -> NDArray[Any]:
    try:
        return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    except (TypeError, ValueError) as error:  # a type that numpy has not, or lists of different lengths
        raise DatasetError(f"{what} are no array: {error}") from error


def labelled_images(
    arrays: Mapping[str, NDArray[Any]], names: tuple[str, str], source: str
) -> LabelledImages:
    """The images and the labels of these names, channels first. Raises DatasetError, naming `source`."""
    missing = [name for name in names if name not in arrays]
    if missing:
        raise DatasetError(f"{source}: {missing[0]} are missing; give {' and '.join(names)}")
    images, labels = (arrays[name] for name in names)
    if images.dtype.kind not in "uf":
        raise DatasetError(
            f"{source}: {names[0]} are {images.dtype}; expected unsigned integers or floats"
            f"{_conversion_of_images(images, names[0])}"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DatasetError(
            f"{source}: {names[1]} are {labels.dtype} {list(labels.shape)}; expected one integer for each "
            f"image{_conversion_of_labels(labels, names[1])}"
        )
    outside = labels[(labels < 0) | (labels > np.iinfo(np.int64).max)]
    if outside.size:
        raise DatasetError(
            f"{source}: {names[1]} has the label {outside[0]}, out of range; labels start at 0, below 2**63"
        )
    return LabelledImages(_channels_first(images, f"{source}: {names[0]}"), labels.astype(np.int64))


def _conversion_of_images(images: NDArray[Any], name: str) -> str:
    """The way to images that can be read: most signed integers are bytes that were computed with."""
    if images.dtype.kind not in "bi":
        return ""
    bytes_ = images.dtype.kind == "i" and images.size and images.min() >= 0 and images.max() <= 255
    return f"; take {name}.astype('{'uint8' if bytes_ else 'float32'}')"


def _conversion_of_labels(labels: NDArray[Any], name: str) -> str:
    """The way to labels that can be read, where their values tell."""
    if labels.ndim == 1 and labels.dtype.kind in "US":
        return f"; number the names: take numpy.unique({name}, return_inverse=True)[1]"
    if labels.ndim == 1 and (labels.dtype.kind == "b" or (labels.dtype.kind == "f" and _whole(labels))):
        return f"; take {name}.astype('int64')"
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and (np.count_nonzero(labels, axis=1) == 1).all():
        return f"; take {name}.argmax(axis=1)"
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
