"""Learners of meta-training drawn from a search space: the generator then teaches what will be searched."""

import numpy as np
from torch import nn

from gtn_core import ConvNetSampler, LearnerSampler
from nas import get_search_space
from nas.search_spaces.base import SearchSpace
from services.schemas.requests import MetaTrainingRequest


def learner_sampler(request: MetaTrainingRequest) -> LearnerSampler | None:
    """The sampler that a request asks for; None: the method's own convnets."""
    if request.learner_space is None:
        return None
    space = get_search_space(request.learner_space.name, **request.learner_space.options)
    return MixedLearnerSampler(ConvNetSampler(request.config), space, request.learner_space_fraction)


class MixedLearnerSampler:
    """Draws a cell of a search space for a share of the meta steps, and a convnet for the others."""

    def __init__(self, convnets: LearnerSampler, space: SearchSpace, space_fraction: float) -> None:
        self.convnets, self.space, self.space_fraction = convnets, space, space_fraction

    def __call__(self, *, image_shape: tuple[int, int, int], num_classes: int, seed: int) -> nn.Module:
        """A freshly initialised learner; the seed fixes family, architecture and weights."""
        rng = np.random.default_rng(seed)
        if rng.random() >= self.space_fraction:
            return self.convnets(image_shape=image_shape, num_classes=num_classes, seed=seed)
        architecture = self.space.sample(rng)
        return self.space.build(architecture, image_shape=image_shape, num_classes=num_classes, seed=seed)

    def __str__(self) -> str:
        return f"{self.space_fraction:.0%} {self.space.name} ({self.space.config!r}), else {self.convnets}"
