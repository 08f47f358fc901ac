"""Parts of curricula, and curricula again and again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gtn_core.curriculum import SyntheticCurriculum


def beginning(curriculum: SyntheticCurriculum, share: float) -> SyntheticCurriculum:
    """The first `share` of the steps, at least one; itself for a share of 1."""
    if share == 1:
        return curriculum
    return curriculum.first(max(1, round(share * len(curriculum))))


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
