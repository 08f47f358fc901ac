"""A new architecture for a search: what its algorithm asks for, else what a walk through the space finds."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from nas.algorithms import ALGORITHMS
from nas.algorithms.base import LineageAlgorithm, SearchAlgorithm
from nas.architecture import Architecture
from nas.registry import PluginError
from nas.search_spaces.base import SearchSpace

MAX_REFUSALS = 200
"""Architectures of the algorithm that are refused for one candidate before the search looks for itself."""

MAX_MISFITS_ASKED = 30
"""Of them beyond a constraint, before that: each that is new costs a look at the whole network."""

MAX_DRAWS = 50
"""Random ones that follow where all that were asked for are known, before the walk over neighbours."""

MAX_STEPS = 1000
"""Steps for one candidate towards what the constraints admit, before the walk over neighbours."""

MAX_WALK = 20_000
"""Architectures that the walk visits for one candidate before the space counts as exhausted."""

MAX_MISFITS = 500
"""Different architectures beyond a constraint, for one candidate, before the space counts as exhausted."""


@dataclass(frozen=True, slots=True)
class NewArchitecture:
    """One that the search has not proposed and that its constraints admit."""

    architecture: Architecture
    canonical_hash: str
    parents: tuple[Architecture, ...] = ()  # what the algorithm made it from, where it tells


@dataclass(frozen=True, slots=True)
class NothingNew:
    """The space counts as exhausted; `misfits` different architectures were new, but beyond a constraint."""

    misfits: int


def find_new_architecture(
    algorithm: SearchAlgorithm,
    space: SearchSpace,
    known: Container[str],
    excess: Callable[[Architecture], float],
    rng: np.random.Generator,
    on_refusal: Callable[[], None],
) -> NewArchitecture | NothingNew:
    """One whose canonical hash is not `known` and whose `excess` over the constraints is 0.

    `on_refusal` is called at every architecture that is refused, before the next is looked for, and may raise
    to end the search for one.
    """
    misfits: dict[str, Architecture] = {}  # by canonical hash
    for architecture, parents in _offers(algorithm, space, excess, rng, misfits):
        canonical_hash = space.canonical_hash(architecture)
        if canonical_hash not in known:
            if excess(architecture) == 0:
                return NewArchitecture(architecture, canonical_hash, parents)
            misfits[canonical_hash] = architecture
            if len(misfits) >= MAX_MISFITS:
                break
        on_refusal()
    return NothingNew(len(misfits))


def _offers(
    algorithm: SearchAlgorithm,
    space: SearchSpace,
    excess: Callable[[Architecture], float],
    rng: np.random.Generator,
    misfits: Mapping[str, Architecture],
) -> Iterator[tuple[Architecture, tuple[Architecture, ...]]]:
    """What the algorithm asks for, with its parents; when refused too often, a walk through the space.

    `misfits` are those of the offers so far that turned out to be beyond a constraint.
    """
    beyond = 0
    for _ in range(MAX_REFUSALS):
        architecture, parents = _asked(algorithm, space, rng)
        yield architecture, parents
        beyond += excess(architecture) > 0
        if beyond >= MAX_MISFITS_ASKED:
            break
    # Who waits for the answers to what is in flight repeats itself: with more slots, begin elsewhere.
    if not misfits:
        for _ in range(MAX_DRAWS):
            architecture = space.sample(rng)
            yield architecture, ()
    # Where hardly anything is within the limits, draws and the neighbours of a misfit are misfits again:
    # go on from the nearest one, and never away from the limits.
    if misfits:
        architecture = min(misfits.values(), key=excess)
        for _ in range(MAX_STEPS):
            if len(misfits) > MAX_MISFITS // 4:  # leave the walk the rest
                break
            child = space.mutate(architecture, rng)
            yield child, ()
            if excess(child) <= excess(architecture):
                architecture = child
    for neighbour in _walk(space, architecture, excess):
        yield neighbour, ()


def _asked(
    algorithm: SearchAlgorithm, space: SearchSpace, rng: np.random.Generator
) -> tuple[Architecture, tuple[Architecture, ...]]:
    """The algorithm's answer, with its parents. Raises PluginError for what is none."""
    with ALGORITHMS.faults_of(algorithm.name, "ask"):
        architecture = algorithm.ask(rng)
        parents = algorithm.parents if isinstance(algorithm, LineageAlgorithm) else ()
    if not isinstance(architecture, Architecture) or architecture.space != space.name:
        raise PluginError(
            "algorithm",
            algorithm.name,
            f"algorithm {algorithm.name!r}: its `ask` returned {architecture!r:.200}; expected an "
            f"Architecture of the space {space.name!r}",
        )
    return architecture, parents


def _walk(
    space: SearchSpace, start: Architecture, excess: Callable[[Architecture], float]
) -> Iterator[Architecture]:
    """Over neighbours, the nearest to the constraints and the earliest first.

    It reaches what is left of a small space for certain, and the nearest free architecture of a large one.
    """
    queue, visited = [(excess(start), 0, start)], {start}
    while queue:
        for neighbour in space.neighbours(heappop(queue)[-1]):
            if neighbour not in visited:
                if len(visited) >= MAX_WALK:
                    return
                visited.add(neighbour)
                yield neighbour
                heappush(queue, (excess(neighbour), len(visited), neighbour))
