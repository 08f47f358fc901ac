"""From arrays that travel to tensors that stay: made once per estimator, kept across candidates."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gtn_core.data import Split
from gtn_core.errors import DatasetError
from nas.estimators.base import EstimatorData

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gtn_core.curriculum import SyntheticCurriculum
    from gtn_core.data import DatasetSplits


def estimator_data(curriculum: SyntheticCurriculum, splits: DatasetSplits) -> EstimatorData:
    """Everything an estimator may use; the arrays share the memory of tensors that are on the CPU.

    Raises DatasetError where the curriculum's images or classes are not those of the data.
    """
    taught = tuple(curriculum.images.shape[2:]), curriculum.labels.shape[2]
    if taught != (splits.image_shape, splits.num_classes):
        raise DatasetError(
            f"the curriculum has images {taught[0]} of {taught[1]} classes and {splits.dataset} images "
            f"{splits.image_shape} of {splits.num_classes} classes",
            remedy="use the data that it was made from",
        )
    return EstimatorData(
        curriculum_images=curriculum.images.numpy(force=True),
        curriculum_labels=curriculum.labels.numpy(force=True),
        learning_rates=curriculum.learning_rates.numpy(force=True),
        momenta=curriculum.momenta.numpy(force=True),
        inner_optimizer=curriculum.inner_optimizer,
        train_images=splits.train.images.numpy(),
        train_labels=splits.train.labels.numpy(),
        validation_images=splits.validation.images.numpy(),
        validation_labels=splits.validation.labels.numpy(),
    )


def synthetic_curriculum(data: EstimatorData, device: torch.device) -> SyntheticCurriculum:
    """The curriculum, on the device."""
    from gtn_core.curriculum import SyntheticCurriculum

    return SyntheticCurriculum(
        images=resident(data.curriculum_images, device),
        labels=resident(data.curriculum_labels, device),
        learning_rates=resident(data.learning_rates, device),
        momenta=resident(data.momenta, device),
        inner_optimizer=data.inner_optimizer,
    )


def validation_split(data: EstimatorData, device: torch.device, *, limit: int | None) -> Split:
    """The validation data, or as many of them as `limit` says, always the same ones, on the device."""
    images, labels = data.validation_images, data.validation_labels
    if limit is not None and limit < len(labels):
        chosen = np.sort(np.random.default_rng(0).choice(len(labels), limit, replace=False))
        images, labels = images[chosen], labels[chosen]
    return Split(resident(images, device), resident(labels, device))


def resident(array: NDArray[Any], device: torch.device) -> Tensor:
    """A tensor on the device. On the CPU it shares the array's memory and must not be written to."""
    import torch

    with warnings.catch_warnings():
        # Arrays out of Ray's object store are read-only, which a tensor cannot be.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)
