"""Optuna's samplers behind ask and tell.

A study in memory holds what was told. Asking seeds a sampler from the generator passed in and leaves a failed
trial behind, which samplers do not look at: the next proposal depends on what was told and the generator.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.algorithms.base import Rewards
from nas.architecture import Architecture
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.search_space import IntersectionSearchSpace
    from optuna.study import Study


MAX_STEPS = 50
"""Mutations of a suggestion that is known, before it is proposed all the same."""


class OptunaSearch(ABC):
    """Base of algorithms that a sampler of Optuna proposes for; one categorical parameter per choice."""

    multi_objective = False

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._study: Study | None = None  # its number of objectives is known with the first rewards
        self._told = 0
        self._seen: set[str] = set()  # canonical hashes

    @abstractmethod
    def sampler(self, seed: int) -> "BaseSampler":
        """A fresh sampler."""

    def told_attributes(self, number: int) -> dict[str, Any]:  # noqa: ARG002 - for subclasses
        """What the sampler would have noted of the `number`-th success when it proposed it."""
        return {}

    def told_choices(self, architecture: Architecture) -> dict[str, str]:
        """The parameters of the trial that tells of an architecture."""
        return dict(self.space.choices(architecture))

    def prepare(self, study: "Study", told: int) -> None:  # noqa: B027 - optional
        """Bring the study into a state that depends on what was told alone."""

    def ask(self, rng: np.random.Generator) -> Architecture:
        """Propose what the sampler suggests; any architecture before the first success."""
        if self._study is None:
            return self.space.sample(rng)
        from optuna.trial import TrialState

        sampler = self.sampler(int(rng.integers(2**32)))
        # A fresh one would look at all trials for what they have in common, for most of its time.
        sampler._search_space = self._in_common  # type: ignore[attr-defined]
        self._study.sampler = sampler
        self.prepare(self._study, self._told)
        trial = self._study.ask()

        def choose(name: str) -> str:
            return str(trial.suggest_categorical(name, self.space.domains[name]))

        architecture = self.space.compose(choose)
        self._study.tell(trial, state=TrialState.FAIL)
        return self._new(architecture, rng)

    def tell(self, architecture: Architecture, rewards: Rewards | None) -> None:
        """Add a success to the study; samplers learn nothing from failures."""
        self._seen.add(self.space.canonical_hash(architecture))
        if rewards is None:
            return
        from optuna.trial import create_trial

        values = list(rewards) if self.multi_objective else [rewards[0]]
        if self._study is None:
            self._study = _study(len(values))
        choices = self.told_choices(architecture)
        self._study.add_trial(
            create_trial(
                params=choices,
                distributions={name: self._distributions[name] for name in choices},
                values=values,
                system_attrs=self.told_attributes(self._told),
            )
        )
        self._told += 1

    def _new(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """A step or a few away from a told architecture: samplers repeat themselves, and are slow."""
        for _ in range(MAX_STEPS):
            if self.space.canonical_hash(architecture) not in self._seen:
                break
            architecture = self.space.mutate(architecture, rng)
        return architecture

    @cached_property
    def _in_common(self) -> "IntersectionSearchSpace":
        """The choices that all told architectures have; it remembers which trials it has looked at."""
        from optuna.search_space import IntersectionSearchSpace

        return IntersectionSearchSpace()

    @cached_property
    def _distributions(self) -> "dict[str, BaseDistribution]":
        from optuna.distributions import CategoricalDistribution

        return {name: CategoricalDistribution(options) for name, options in self.space.domains.items()}


def _study(objectives: int) -> "Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(directions=["maximize"] * objectives)
