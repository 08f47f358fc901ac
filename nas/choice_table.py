"""The architectures of a search as a table of their choices: how far apart two are, and in what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.architecture import Architecture
from nas.search_spaces.base import SearchSpace

ABSENT = -1
"""The code of a choice that an architecture does not have."""


@dataclass(frozen=True, eq=False)
class ChoiceTable:
    """Architectures by choices."""

    domains: Mapping[str, tuple[str, ...]]  # every choice of the space with its options, C of them
    codes: NDArray[np.int16]  # [N, C], the place of the option among the choice's; ABSENT where there is none

    def distances(self, codes: NDArray[np.int16]) -> NDArray[np.int64]:
        """In how many choices each architecture differs from the one with these `codes` [C]; [N]."""
        differing: NDArray[np.int64] = (self.codes != codes).sum(axis=1)
        return differing


@dataclass(frozen=True, slots=True)
class Difference:
    """A choice that two architectures made differently; None where one does not have it."""

    choice: str
    before: str | None
    after: str | None


def tabulate(space: SearchSpace, architectures: Sequence[Architecture]) -> ChoiceTable:
    """Read the choices of architectures of one space; 10 to 100 microseconds each."""
    domains = {name: tuple(options) for name, options in space.domains.items()}
    codes_of = {
        name: {option: code for code, option in enumerate(options)} for name, options in domains.items()
    }
    rows = (space.choices(architecture) for architecture in architectures)
    codes = [[codes_of[name].get(made.get(name, ""), ABSENT) for name in domains] for made in rows]
    return ChoiceTable(domains, np.array(codes, dtype=np.int16).reshape(len(architectures), len(domains)))


def differences(space: SearchSpace, before: Architecture, after: Architecture) -> tuple[Difference, ...]:
    """What has to change to come from one architecture to the other, in the order of the space."""
    first, second = space.choices(before), space.choices(after)
    return tuple(
        Difference(name, first.get(name), second.get(name))
        for name in space.domains
        if first.get(name) != second.get(name)
    )
