"""Which architectures the constraints of a search admit, before anything is trained."""

from typing import TYPE_CHECKING

from nas.architecture import Architecture
from nas.search_spaces.base import ImageShape, SearchSpace
from nas.search_spec import SearchSpec

if TYPE_CHECKING:
    from torch import nn


class ConstraintCheck:
    """Looks at the network of each architecture once, however it is written."""

    def __init__(
        self, spec: SearchSpec, space: SearchSpace, image_shape: ImageShape, num_classes: int
    ) -> None:
        self._spec, self._space = spec, space
        self._image_shape, self._num_classes = image_shape, num_classes
        self._excesses: dict[str, float] = {}  # by canonical hash

    def excess(self, architecture: Architecture) -> float:
        """How far it is beyond the constraints; 0 if they admit it, or if its cost cannot be known."""
        constraints = self._spec.constraints
        if constraints.max_params is None and constraints.max_flops is None:
            return 0.0
        canonical_hash = self._space.canonical_hash(architecture)
        if canonical_hash not in self._excesses:
            self._excesses[canonical_hash] = self._measured(architecture)
        return self._excesses[canonical_hash]

    def _measured(self, architecture: Architecture) -> float:
        from nas.cost import network_cost  # it imports PyTorch, which searches without constraints can spare

        try:
            cost = network_cost(lambda: self._network(architecture), self._image_shape)
        except Exception:  # whatever a space raises: this one is left to fail its evaluation, which says why
            return 0.0
        return self._spec.constraints.excess(params=cost.params, flops=cost.flops)

    def _network(self, architecture: Architecture) -> "nn.Module":
        shape, classes, seed = self._image_shape, self._num_classes, self._spec.seed
        return self._space.build(architecture, image_shape=shape, num_classes=classes, seed=seed)
