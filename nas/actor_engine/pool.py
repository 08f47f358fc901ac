"""The actors that evaluate candidates, and what is heard of them, in the order in which it happens."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError

from nas.candidates import CandidateResult, Proposal
from nas.cluster.evaluator import Evaluator, Job
from nas.search_spec import Resources


@dataclass(eq=False)
class Worker:
    """A slot, from the request for its process to its end; `proposal` is what it evaluates now."""

    actor: ActorHandle[Any]
    ready: bool = False
    proposal: Proposal | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Answer:
    """Exactly one is there, but for a worker that says that it is ready: it has none."""

    worker: Worker
    result: CandidateResult | None = None
    broken: str | None = None  # it cannot evaluate anything
    death: str | None = None


class WorkerPool:
    """Waiting for the next answer takes the same time however many workers there are, unlike `ray.wait`."""

    def __init__(self, stored_job: Any, resources: Resources) -> None:
        self._job = stored_job
        self._class: Any = ray.remote(
            num_cpus=resources.cpus_per_candidate, num_gpus=resources.gpus_per_candidate
        )(SearchWorker)
        self._workers: set[Worker] = set()
        self._answers: SimpleQueue[Answer] = SimpleQueue()

    @property
    def starting(self) -> int:
        """Workers that are not ready yet."""
        return sum(not worker.ready for worker in self._workers)

    def start(self) -> None:
        """Ask the cluster for one more worker, which answers once it is ready."""
        worker = Worker(self._class.remote(self._job))
        self._workers.add(worker)
        self._listen(worker, worker.actor.ready.remote(), lambda broken: Answer(worker, broken=broken))

    def begin(self, worker: Worker, proposal: Proposal) -> None:
        """Let a worker evaluate a candidate up to its first rung."""
        worker.proposal = proposal
        self._expect_result(worker, worker.actor.begin.remote(proposal))

    def go_on(self, worker: Worker) -> None:
        """Let a worker evaluate its candidate up to the next rung."""
        self._expect_result(worker, worker.actor.go_on.remote())

    def next_answer(self, timeout_seconds: float) -> Answer | None:
        """What a worker answered, or that it died; None when nothing is heard for so long."""
        try:
            answer = self._answers.get(timeout=timeout_seconds)
        except Empty:
            return None
        if answer.worker not in self._workers:
            return None  # it was discarded meanwhile
        if answer.death is not None:
            self.discard(answer.worker)
        answer.worker.ready = True
        return answer

    def discard(self, worker: Worker) -> None:
        """End a worker. One that cannot be reached may still be at work, and its candidate is given away."""
        self._workers.discard(worker)
        with suppress(RayError):
            ray.kill(worker.actor)

    def close(self) -> None:
        """End all workers, also in the middle of a candidate."""
        for worker in list(self._workers):
            self.discard(worker)

    def _expect_result(self, worker: Worker, reference: Any) -> None:
        self._listen(worker, reference, lambda result: Answer(worker, result=result))

    def _listen(self, worker: Worker, reference: Any, answer: Callable[[Any], Answer]) -> None:
        def note(done: Any) -> None:  # in a thread of Ray
            try:
                self._answers.put(answer(done.result()))
            except Exception as error:  # RayError, usually; without an answer a candidate waits for ever
                self._answers.put(Answer(worker, death=str(error)))

        reference.future().add_done_callback(note)


class SearchWorker:
    """What runs on the cluster: one process per slot."""

    def __init__(self, job: Job) -> None:
        self._evaluator = Evaluator(job)

    def ready(self) -> str | None:
        """None, or why no candidate can be evaluated here."""
        return self._evaluator.broken

    def begin(self, proposal: Proposal) -> CandidateResult:
        """See `Evaluator.begin`."""
        return self._evaluator.begin(proposal)

    def go_on(self) -> CandidateResult:
        """See `Evaluator.go_on`."""
        return self._evaluator.go_on()
