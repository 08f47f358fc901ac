"""A pool of plain Ray actors per search.

Beside the search's own bookkeeping it does nothing per candidate but one call to an actor, and it forgets a
candidate with its result; Ray Tune takes milliseconds for each and keeps all. `benchmarks/bench_scaling.py`
measures both.
"""

from collections import deque
from contextlib import closing

from nas.actor_engine.pool import Answer, Worker, WorkerPool
from nas.candidates import Proposal
from nas.cluster.active_search import MAX_RETRIES, STOP_POLL_SECONDS, ActiveSearch
from nas.cluster.evaluator import WorkerSetupError, stored_job
from nas.cluster.waiting import RoomWatch
from nas.estimators import EstimatorData
from nas.search import Search, SearchObserver


class ActorEngine:
    """Evaluates as many candidates at a time as the cluster holds; `ray.init` is the caller's."""

    def __init__(self, watch: RoomWatch | None = None) -> None:
        """`watch` says what happens while no candidate gets on; by default it is waited for."""
        self._watch = watch or RoomWatch()

    def run(self, search: Search, data: EstimatorData, observer: SearchObserver) -> None:
        """Return when the search is finished, its max_seconds have passed or should_stop() says so.

        As `TuneEngine.run`, with the same errors. Raises WorkerSetupError also when worker after worker dies
        before it could take a candidate.
        """
        active = ActiveSearch(search, observer, self._watch)
        with stored_job(search, data) as job, closing(WorkerPool(job, search.spec.resources)) as pool:
            _evaluate_all(active, pool)
        if active.error is not None:
            raise active.error


def _evaluate_all(active: ActiveSearch, pool: WorkerPool) -> None:
    desk = _Desk(active, pool)
    while not active.over:
        more = desk.hand_out()
        if (answer := pool.next_answer(0 if more else STOP_POLL_SECONDS)) is not None:
            desk.take(answer)
        active.poll()


class _Desk:
    """Hands candidates to free workers and takes in what became of them.

    A candidate waits for whichever worker is free first, not for one that was started for it: that one may
    never find room when a node has left the cluster.
    """

    def __init__(self, active: ActiveSearch, pool: WorkerPool) -> None:
        self._active, self._pool = active, pool
        self._waiting: deque[Proposal] = deque()
        self._free: list[Worker] = []
        self._deaths_at_start = 0  # since the last worker that was ready

    def hand_out(self) -> bool:
        """Give a candidate to who is free, or ask for a worker for it; False when there is no candidate.

        One at a time, as the next may take seconds to be found. Who is still free when there is none is
        released.
        """
        proposal = self._active.propose()
        if proposal is not None:
            self._waiting.append(proposal)
        while self._waiting and self._free:
            self._begin(self._free.pop(), self._waiting.popleft())
        while self._free and proposal is None:
            self._pool.discard(self._free.pop())
        while self._pool.starting < len(self._waiting):
            self._pool.start()
        return proposal is not None

    def take(self, answer: Answer) -> None:
        """A worker is ready, at a rung, done, broken or dead."""
        worker, proposal = answer.worker, answer.worker.proposal
        if answer.broken is not None:
            self._active.fail(WorkerSetupError(answer.broken))
        elif answer.death is not None and proposal is not None:
            self._active.lose(proposal, answer.death)
        elif answer.death is not None:
            self._note_death_at_start(answer.death)
        elif answer.result is not None and self._active.goes_on(answer.result):
            self._pool.go_on(worker)
        else:
            self._deaths_at_start = 0
            worker.proposal = None
            self._free.append(worker)
            if answer.result is not None:
                self._active.complete(answer.result)

    def _begin(self, worker: Worker, proposal: Proposal) -> None:
        self._active.evaluations.begin(proposal.number, worker.actor)
        self._pool.begin(worker, proposal)

    def _note_death_at_start(self, detail: str) -> None:
        """A node that is lost takes many with it at once, so that the limit grows with what is waited for."""
        self._deaths_at_start += 1
        if self._deaths_at_start > (1 + MAX_RETRIES) * max(1, len(self._waiting)):
            reason = " ".join(detail.split())[:1000]
            self._active.fail(WorkerSetupError(f"workers die while they start: {reason}"))
