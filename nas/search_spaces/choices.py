"""Search spaces as lists of named choices: how to draw, vary, cross and describe follows from the choices.

A space says which choices there are (`domains`) and how an architecture is put together from them
(`compose`). A choice may exist only if another is made so: `compose` then does not ask for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.architecture import Architecture

Choose = Callable[[str], str]
"""The name of a choice to one of its options."""


class ChoiceSpace(ABC):
    """Base of search spaces whose architectures are made of choices among a few options each."""

    @property
    @abstractmethod
    def domains(self) -> Mapping[str, Sequence[str]]:
        """Every choice that any architecture can have, with its options, in a fixed order."""

    @abstractmethod
    def choices(self, architecture: Architecture) -> dict[str, str]:
        """The choices that this architecture has, by name."""

    @abstractmethod
    def compose(self, choose: Choose) -> Architecture:
        """Put an architecture together; asks only for choices that exist, those it depends on first."""

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw every choice uniformly."""
        return self.compose(self._random(rng))

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Make one choice anew; choices that come into being with it are drawn."""
        made = self.choices(architecture)
        open_choices = [name for name in made if len(self.domains[name]) > 1]
        if not open_choices:
            return architecture
        changed = open_choices[rng.integers(len(open_choices))]
        others = [option for option in self.domains[changed] if option != made[changed]]
        return self._composed(made | {changed: others[rng.integers(len(others))]}, rng)

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
        """Take every choice from either parent with equal odds, or from the one that has it."""
        parents = self.choices(first), self.choices(second)
        taken: dict[str, str] = {}
        for name in self.domains:
            options = [parent[name] for parent in parents if name in parent]
            if options:
                taken[name] = options[rng.integers(len(options))]
        return self._composed(taken, rng)

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """All architectures that differ in one choice, by choice and then by option."""
        made, seen = self.choices(architecture), {architecture}
        for name, present in made.items():
            for option in self.domains[name]:
                if option == present:
                    continue
                for neighbour in self._completions(made | {name: option}):
                    if neighbour not in seen:
                        seen.add(neighbour)
                        yield neighbour

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        """One-hot choices, float64 [D]; all zero where the architecture does not have the choice."""
        return self.one_hot(self.choices(architecture))

    def one_hot(self, made: Mapping[str, str]) -> NDArray[np.float64]:
        """These choices as features, float64 [D]."""
        return np.array(
            [made.get(name) == option for name, options in self.domains.items() for option in options],
            dtype=np.float64,
        )

    def _random(self, rng: np.random.Generator) -> Choose:
        def choose(name: str) -> str:
            options = self.domains[name]
            return options[int(rng.integers(len(options)))]

        return choose

    def _composed(self, made: Mapping[str, str], rng: np.random.Generator) -> Architecture:
        random = self._random(rng)
        return self.compose(lambda name: made[name] if name in made else random(name))

    def _completions(self, made: Mapping[str, str]) -> Iterator[Architecture]:
        """All architectures with these choices, where others came into being."""

        def choose(name: str) -> str:
            if name not in made:
                raise _Open(name)
            return made[name]

        try:
            yield self.compose(choose)
        except _Open as open_choice:
            for option in self.domains[open_choice.name]:
                yield from self._completions({**made, open_choice.name: option})


class _Open(Exception):  # noqa: N818 - a question, not an error
    """A choice that is not made yet."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
