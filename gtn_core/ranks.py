"""Processes that share the learners of every meta step; how they reach each other is the caller's affair."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor


def _nothing_to_add(_tensor: Tensor) -> None:
    pass


@dataclass(frozen=True)
class Rank:
    """One of `count` processes that hold equal curricula, and take turns at the learners of a meta step.

    A learner is drawn from (seed, step, its number), so that as many processes as there are learners, or
    one, meet the same learners.
    """

    index: int = 0
    count: int = 1
    add_up: Callable[[Tensor], object] = _nothing_to_add
    """Puts into the tensor, in place, its sum over all ranks; every rank calls it equally often."""

    def share(self, learners: int) -> range:
        """Numbers of the learners that are this rank's."""
        return range(self.index, learners, self.count)

    def require_share(self, learners: int) -> None:
        """Raise ValueError unless each rank has a learner."""
        if self.count > learners:
            raise ValueError(
                f"{self.count} ranks cannot share learners_per_meta_step ({learners}), since each needs a "
                "learner; start fewer ranks or raise learners_per_meta_step"
            )

    def take_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Put the first rank's values into the tensors of all, in place."""
        for tensor in tensors:
            values = tensor.detach()
            if self.index:
                values.zero_()
            self.add_up(values)


ALONE = Rank()
"""One process with all learners."""
