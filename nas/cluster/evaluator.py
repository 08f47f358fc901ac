"""What one worker process holds, whichever engine runs it: it keeps the data from candidate to candidate."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import ray

from gtn_core.errors import GtnNasError
from nas.candidates import CandidateResult, Proposal
from nas.cluster.shared_measurements import shared_measurements
from nas.estimators import EstimatorData, estimator_config, make_estimator
from nas.evaluation import EvaluationPlan, evaluate, evaluation_plan
from nas.search import Search
from nas.search_spaces import get_search_space
from nas.slot import device_of, prepare_slot


class WorkerSetupError(GtnNasError):
    """A worker that cannot make the search's space or estimator: no candidate could be evaluated on it."""


@dataclass(frozen=True)
class Job:
    """What every worker of a search needs; in the object store once per node."""

    plan: EvaluationPlan
    data: EstimatorData


@contextmanager
def stored_job(search: Search, data: EstimatorData) -> Iterator[Any]:
    """An ObjectRef of the search's job, with training data only if needed, for as long as workers run."""
    spec, estimator = search.spec, search.spec.estimator
    config = estimator_config(estimator.name, **estimator.options)
    if not config.needs_train_data:
        data = replace(data, train_images=data.train_images[:0], train_labels=data.train_labels[:0])
    with shared_measurements() if config.shares_measurements else nullcontext() as measurements:
        data = replace(data, measurements=measurements)
        yield ray.put(Job(evaluation_plan(spec, search.shares, data), data))


class Evaluator:
    """Evaluates one candidate after the other, each rung by rung.

    What cannot be made is told by `broken` instead of an exception, which would look like a worker that died.
    """

    def __init__(self, job: Job) -> None:
        spec, self._plan = job.plan.spec, job.plan
        space, estimator, resources = spec.search_space, spec.estimator, spec.resources
        self._results: Iterator[CandidateResult] = iter(())
        self.broken: str | None = None
        try:
            uses_torch = estimator_config(estimator.name, **estimator.options).needs_torch
            self._device = device = prepare_slot(resources) if uses_torch else device_of(resources)
            self._space = get_search_space(space.name, **space.options)
            self._estimator = make_estimator(estimator.name, job.data, device=device, **estimator.options)
        except Exception as error:  # whatever foreign code raises
            self.broken = f"a worker cannot start: {type(error).__name__}: {error}"

    def begin(self, proposal: Proposal) -> CandidateResult:
        """The candidate's result at its first rung; final if it has no `rung`."""
        self._results = evaluate(self._space, self._estimator, proposal, self._plan, self._device)
        return next(self._results)

    def go_on(self) -> CandidateResult:
        """The result at the next rung of the candidate that was begun."""
        return next(self._results)
