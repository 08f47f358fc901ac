"""A search while it runs on a cluster: what is in flight, what is retried, when to stop."""

import math
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from nas.candidates import CandidateResult, Failure, Proposal
from nas.cluster.evaluations import Evaluations
from nas.cluster.slots import Slots
from nas.cluster.waiting import RoomWatch, Waiting
from nas.search import Search, SearchObserver

MAX_RETRIES = 2
"""How often a candidate is evaluated again after its worker died."""

MAX_CRASHES = 10
"""How often Tune may give up with no evaluation finished in between: more is no candidate's fault."""

STOP_POLL_SECONDS = 0.25
"""Time between two looks at `should_stop` and the clock."""

MAX_DETAIL = 1000
"""Characters of what Ray says of a worker's end; it goes on for pages."""


class ActiveSearch:
    """The search and its observer on one side, an engine on the other.

    Nothing that the two raise may reach Ray Tune, which would take it for a failed trial: the first exception
    is kept, the run stops, and the engine raises it.
    """

    def __init__(self, search: Search, observer: SearchObserver, watch: RoomWatch) -> None:
        self.search, self.observer = search, observer
        self.error: Exception | None = None
        self.evaluations = Evaluations(search.spec.max_candidate_seconds)
        self._stopping = False
        self._in_flight: dict[int, Proposal] = {}
        self._again: deque[Proposal] = deque()  # their workers died
        self._losses: Counter[int] = Counter()
        self._crashes = 0
        self._slots = Slots(search.spec)
        self._waiting = Waiting(watch, self._slots)
        self._deadline = time.monotonic() + (search.spec.max_seconds or math.inf)
        self._next_poll = 0.0

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its hooks into files that nobody reads; observers hold databases and threads.
        return {}

    @property
    def over(self) -> bool:
        """True when nothing is left to propose or to wait for, or the run stops."""
        return self._stopping or self.search.finished

    def propose(self) -> Proposal | None:
        """A recorded candidate for a free slot; None when there is no slot or no candidate."""
        slots = 0
        with self._guard():
            slots = self._slots.count()
        if self._stopping or len(self._in_flight) >= slots:
            return None
        proposal = self._again.popleft() if self._again else self._propose_new()
        if proposal is not None:
            self._in_flight[proposal.number] = proposal
        return proposal

    def goes_on(self, result: CandidateResult) -> bool:
        """Whether an evaluation that is at a rung should go on."""
        try:
            return self.search.goes_on(result)
        except Exception as error:  # whatever an algorithm raises
            self.fail(error)
            return False

    def complete(self, result: CandidateResult) -> None:
        """Record what became of an evaluation, then let the algorithm learn from it."""
        self._crashes = 0
        self.evaluations.end(result.proposal.number, evaluated=True)
        self._record(result)

    def lose(self, proposal: Proposal, detail: str) -> None:
        """A candidate's worker died: evaluate it again, or record the failure."""
        self._losses[proposal.number] += 1
        if self.evaluations.end(proposal.number, evaluated=False):
            limit = self.search.spec.max_candidate_seconds
            failure = Failure("timed out", f"not evaluated within max_candidate_seconds, {limit:g} s")
            self._record(CandidateResult(proposal, failure=failure))
        elif self._losses[proposal.number] > MAX_RETRIES:
            reason = "out of memory" if "low on memory" in detail else "worker lost"  # Ray's words
            failure = Failure(reason, " ".join(detail.split())[:MAX_DETAIL])
            self._record(CandidateResult(proposal, failure=failure))
        else:
            del self._in_flight[proposal.number]
            self._again.append(proposal)

    def lose_after_crash(self, detail: str) -> bool:
        """Tune gave up and everything in flight is lost; False when it makes no sense to go on.

        When the detail names workers, the others' candidates are not to blame and their retries not counted.
        """
        self._crashes += 1
        if not self._in_flight or self._crashes > MAX_CRASHES or not ray.is_initialized():
            return False
        named = self.evaluations.named_in(detail)
        for proposal in list(self._in_flight.values()):
            if named and proposal.number not in named:
                self._losses[proposal.number] -= 1
            self.lose(proposal, detail)
        return True

    def fail(self, error: Exception) -> None:
        """Stop the run and raise the error from it."""
        self.error = self.error or error
        self._stopping = True

    def poll(self, *, proposing: bool = False) -> None:
        """Look whether to stop. If so kill the workers: one in the middle of a candidate hears nothing.

        While the search is proposing nobody hears from workers that have started, or misses them.
        """
        now = time.monotonic()
        if not self._stopping and now >= self._next_poll:
            self._next_poll = now + STOP_POLL_SECONDS
            with self._guard():
                if not proposing:
                    self._slots.count()  # also while nothing is proposed, to see that there is no room
                    self.evaluations.look()
                    without_worker = bool(self._in_flight) and not self.evaluations
                    self._waiting.look(without_worker, self.evaluations.unusual())
                self._stopping = now >= self._deadline or self.observer.should_stop()
        if self._stopping:
            self.evaluations.kill_all()

    def _propose_new(self) -> Proposal | None:
        """The next candidate that needs an evaluation; those with a known score are recorded on the way."""
        proposal, began = None, time.monotonic()
        with self._guard():
            while not self._stopping and (proposal := self.search.propose(self._should_stop)) is not None:
                self.observer.on_proposal(proposal)
                if (known := self.search.recall(proposal)) is None:
                    break
                self.observer.on_result(known)
                self.search.complete(known)
                self.poll(proposing=True)
        self._waiting.leave_out(time.monotonic() - began)
        return None if self._stopping else proposal

    def _should_stop(self) -> bool:
        self.poll(proposing=True)
        return self._stopping

    def _record(self, result: CandidateResult) -> None:
        del self._in_flight[result.proposal.number]
        if not self._stopping:
            with self._guard():
                ended = self.search.ended(result)
                self.observer.on_result(ended)
                self.search.complete(ended)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever an observer or an algorithm raises
            self.fail(error)
