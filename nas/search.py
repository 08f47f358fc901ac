"""One search: which candidate comes next, and what became of those before it.

`Search` is the bookkeeping (no Ray, no database, no training), an `Engine` evaluates what it proposes, a
`SearchObserver` keeps the record. A killed search is rebuilt from that record and goes on as it would have.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

import numpy as np

from nas.algorithms import ALGORITHMS, get_algorithm
from nas.algorithms.base import ConstrainedAlgorithm, MultiFidelityAlgorithm
from nas.architecture import Architecture
from nas.candidates import CandidateResult, Proposal, Recall, rewards_at_rungs, rung_metric
from nas.constraint_check import ConstraintCheck
from nas.estimators.base import EstimatorData
from nas.proposals import NewArchitecture, NothingNew, find_new_architecture
from nas.ranking import reward
from nas.search_spaces import get_search_space
from nas.search_spaces.base import ImageShape
from nas.search_spec import SearchSpec


def _never() -> bool:
    return False


class _Stopped(BaseException):
    """Whoever asked for a proposal wants none any more."""


class SearchObserver(Protocol):
    """Keeps the record of a search.

    Called by the engine in the process that owns the search, one call at a time, as things happen. An
    exception ends the run and is re-raised by `Engine.run`: the record is gone or belongs to another.
    """

    def on_proposal(self, proposal: Proposal) -> None:
        """A candidate is about to be evaluated; also called again for one that a killed run left behind."""
        ...

    def on_result(self, result: CandidateResult) -> None:
        """A candidate has its score or its failure; once per candidate."""
        ...

    def should_stop(self) -> bool:
        """Asked at least twice a second; True stops the candidates in flight, which get no result."""
        ...


class Engine(Protocol):
    """Evaluates what a search proposes."""

    def run(self, search: "Search", data: EstimatorData, observer: SearchObserver) -> None:
        """Return when the search is finished, its max_seconds have passed or should_stop() says so."""
        ...


class Search:
    """Bookkeeping of one search: proposes candidates, tells the algorithm what became of them.

    The first candidates are the `initial_architectures` of the spec. Any further candidate n is drawn with a
    generator seeded with (seed, n), from what had been told by then. With one candidate at a time the same
    spec therefore gives the same candidates, also when the search was killed at any point and rebuilt from
    its `history` (in order of completion) and `in_flight` (proposed, without a result). With several at a
    time the order of completion decides, as the record tells it.

    All candidates are evaluated with the search's own seed. Common random numbers (the same batches in the
    same order, the same draw for every stem) take their share out of the differences between candidates,
    and any score can be had again with `score_candidate(space, architecture, curriculum, validation, seed)`.
    """

    def __init__(
        self,
        spec: SearchSpec,
        image_shape: ImageShape,
        num_classes: int,
        history: Sequence[CandidateResult] = (),
        in_flight: Sequence[Proposal] = (),
        recall: Recall | None = None,
    ) -> None:
        self.spec, self.image_shape, self.num_classes = spec, image_shape, num_classes
        self.space = get_search_space(spec.search_space.name, **spec.search_space.options)
        self.algorithm = get_algorithm(spec.algorithm.name, self.space, **spec.algorithm.options)
        self._recall = recall
        self.exhausted: str | None = None
        """Why no further candidate can be proposed although the budget has room; None while it can."""
        proposals = [*(result.proposal for result in history), *in_flight]
        self._numbers = {proposal.number for proposal in proposals}
        self._next_number = 0
        self._proposed = {proposal.canonical_hash: proposal.number for proposal in proposals}
        self._constraint_check = ConstraintCheck(spec, self.space, image_shape, num_classes)
        self._should_stop = _never  # the one of the proposal that is looked for
        self._in_flight: dict[int, Proposal] = {}
        self._judged: dict[int, list[tuple[float, bool]]] = {}  # rewards and answers at rungs, in flight
        self._initial = deque(map(self.space.parse, spec.initial_architectures))
        self._again = deque(sorted(in_flight, key=lambda proposal: proposal.number))
        if isinstance(self.algorithm, ConstrainedAlgorithm):
            with self._faults_of_algorithm("constrain"):
                self.algorithm.constrain(self._is_admitted)
        for result in history:
            self._tell_rungs(result)
            self._tell(result)

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the training after which the algorithm judges a candidate; (1,) if it does not."""
        return self.algorithm.shares if isinstance(self.algorithm, MultiFidelityAlgorithm) else (1.0,)

    def propose(self, should_stop: Callable[[], bool] = _never) -> Proposal | None:
        """The next candidate, or None when the budget is proposed or the space is exhausted.

        Architectures that were proposed before (equal canonical hash) or that violate a constraint are
        refused before any training and drawn again. Under tight constraints that takes up to minutes:
        `should_stop` is asked at every refusal, and if it says so the answer is None too. The next call
        then begins again with the same number and, if nothing was told meanwhile, finds what this one would
        have found.
        """
        self._should_stop = should_stop
        try:
            proposal = self._again.popleft() if self._again else self._draw()
        except _Stopped:
            return None
        finally:
            self._should_stop = _never
        if proposal is not None:
            self._in_flight[proposal.number] = proposal
        return proposal

    def recall(self, proposal: Proposal) -> CandidateResult | None:
        """The result of an earlier evaluation that needs no repetition.

        Never where algorithms judge candidates in the middle, or where times count: they belong to the
        moment and the machine.
        """
        times_count = self.spec.measures_latency or "seconds" in self.spec.objectives
        if self._recall is None or self.shares != (1.0,) or times_count:
            return None
        return self._recall(proposal)

    def goes_on(self, result: CandidateResult) -> bool:
        """Whether an evaluation that is at a rung should go on.

        A candidate that begins again because its worker died is judged as it was: the algorithm counts its
        rewards once.
        """
        if result.rung is None or result.score is None:
            return False
        assert isinstance(self.algorithm, MultiFidelityAlgorithm)
        judged = self._judged.setdefault(result.proposal.number, [])
        if result.rung == len(judged):
            reached = result.score.extra[rung_metric(result.rung)]
            with self._faults_of_algorithm("goes_on"):
                judged.append((reached, self.algorithm.goes_on(result.rung, reached)))
        return judged[result.rung][1]

    def ended(self, result: CandidateResult) -> CandidateResult:
        """The same, final, as it is recorded: a failure with what the algorithm heard of the candidate."""
        failure = result.failure
        if failure is not None:
            heard = tuple(reached for reached, _ in self._judged.get(result.proposal.number, ()))
            failure = replace(failure, rewards_at_rungs=heard)
        return replace(result, failure=failure, rung=None)

    def complete(self, result: CandidateResult) -> None:
        """Take a result in. Raises ValueError for a candidate that is not in flight."""
        if self._in_flight.pop(result.proposal.number, None) is None:
            raise ValueError(f"candidate {result.proposal.number} is not in flight: completed twice?")
        self._judged.pop(result.proposal.number, None)
        self._tell(result)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The `initial_architectures` that are beyond a constraint, and therefore no candidates."""
        given = self.spec.initial_architectures
        return tuple(each for each in given if self._constraint_check.excess(self.space.parse(each)) > 0)

    @property
    def finished(self) -> bool:
        """True when nothing is left to propose or to wait for."""
        return not (self._again or self._in_flight) and (
            self.exhausted is not None or len(self._numbers) >= self.spec.max_candidates
        )

    def _tell(self, result: CandidateResult) -> None:
        score = result.score
        rewards = None if score is None else [reward(score, name) for name in self.spec.objectives]
        with self._faults_of_algorithm("tell"):
            self.algorithm.tell(result.proposal.architecture, rewards)

    def _tell_rungs(self, result: CandidateResult) -> None:
        """What the algorithm heard of a candidate before it was complete, from the record."""
        if isinstance(self.algorithm, MultiFidelityAlgorithm):
            for rung, reached in enumerate(rewards_at_rungs(result)):
                with self._faults_of_algorithm("goes_on"):
                    self.algorithm.goes_on(rung, reached)

    def _faults_of_algorithm(self, method: str) -> AbstractContextManager[None]:
        return ALGORITHMS.faults_of(self.algorithm.name, method)

    def _draw(self) -> Proposal | None:
        if self.exhausted is not None or len(self._numbers) >= self.spec.max_candidates:
            return None
        number = self._free_number()
        new = self._next_initial() or find_new_architecture(
            self.algorithm,
            self.space,
            self._proposed,
            self._constraint_check.excess,
            np.random.default_rng([self.spec.seed, number]),
            self._stop_if_told,
        )
        if isinstance(new, NothingNew):
            self.exhausted = self._why_exhausted(new.misfits)
            return None
        parents = self._numbers_of(new.parents)
        self._numbers.add(number)
        self._proposed[new.canonical_hash] = number
        return Proposal(number, new.architecture, new.canonical_hash, self.spec.seed, parents)

    def _next_initial(self) -> NewArchitecture | None:
        """The first of those given that is left and admitted; None once there is none."""
        while self._initial:
            architecture = self._initial[0]
            canonical_hash = self.space.canonical_hash(architecture)
            if canonical_hash not in self._proposed and self._is_admitted(architecture):
                return NewArchitecture(architecture, canonical_hash)
            self._initial.popleft()
        return None

    def _free_number(self) -> int:
        """The lowest number that no candidate has; the same again until one takes it."""
        while self._next_number in self._numbers:
            self._next_number += 1
        return self._next_number

    def _numbers_of(self, parents: Sequence[Architecture]) -> tuple[int, ...]:
        """The candidates that have these architectures; one that was never proposed here has no number."""
        hashes = (self.space.canonical_hash(parent) for parent in parents)
        return tuple(self._proposed[each] for each in hashes if each in self._proposed)

    def _why_exhausted(self, misfits: int) -> str:
        why = f"no new architecture of {self.space.name} was found after {len(self._numbers)} candidates"
        if misfits:
            given = self.spec.constraints.model_dump(exclude_none=True)
            limits = ", ".join(f"{name}={limit}" for name, limit in given.items())
            why += f"; {misfits} others violate the constraints ({limits})"
        return why

    def _is_admitted(self, architecture: Architecture) -> bool:
        """What the algorithm asks, and perhaps of many at a time."""
        self._stop_if_told()
        return self._constraint_check.excess(architecture) == 0

    def _stop_if_told(self) -> None:
        if self._should_stop():
            raise _Stopped
