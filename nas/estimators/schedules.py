"""Curricula put together: one after the other, and again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gtn_core.curriculum import SyntheticCurriculum


def beginning(curriculum: SyntheticCurriculum, share: float) -> SyntheticCurriculum:
    """The first `share` of the steps, at least one; itself for a share of 1."""
    if share == 1:
        return curriculum
    steps = max(1, round(share * len(curriculum)))
    return replace(
        curriculum,
        images=curriculum.images[:steps],
        labels=curriculum.labels[:steps],
        learning_rates=curriculum.learning_rates[:steps],
        momenta=curriculum.momenta[:steps],
    )


def joined(first: SyntheticCurriculum, second: SyntheticCurriculum) -> SyntheticCurriculum:
    """The steps of `first`, then those of `second`, all with the inner optimizer of `first`.

    Raises ValueError when batches are not of one shape.
    """
    if first.images.shape[1:] != second.images.shape[1:] or first.labels.shape[1:] != second.labels.shape[1:]:
        raise ValueError(
            f"a curriculum of images {tuple(first.images.shape)} cannot be followed by one of "
            f"{tuple(second.images.shape)}: batches and classes must agree"
        )
    import torch

    return replace(
        first,
        images=torch.cat([first.images, second.images]),
        labels=torch.cat([first.labels, second.labels]),
        learning_rates=torch.cat([first.learning_rates, second.learning_rates]),
        momenta=torch.cat([first.momenta, second.momenta]),
    )


def repeated(curriculum: SyntheticCurriculum, passes: int) -> SyntheticCurriculum:
    """The curriculum `passes` times over; itself when that is once."""
    if passes == 1:
        return curriculum
    return replace(
        curriculum,
        images=curriculum.images.repeat(passes, 1, 1, 1, 1),
        labels=curriculum.labels.repeat(passes, 1, 1),
        learning_rates=curriculum.learning_rates.repeat(passes),
        momenta=curriculum.momenta.repeat(passes),
    )
