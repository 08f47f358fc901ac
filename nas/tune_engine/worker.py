"""What runs on the cluster: one process per slot, which keeps the data from candidate to candidate."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import ray
from ray import tune
from typing_extensions import override

from nas.estimators import ESTIMATORS, EstimatorData, make_estimator
from nas.evaluation import Evaluation, evaluate, evaluation_of
from nas.search import CandidateResult, Search
from nas.search_spaces import get_search_space
from nas.slot import prepare_slot


@dataclass(frozen=True)
class Job:
    """What every worker of a search needs; in the object store once per node."""

    evaluation: Evaluation
    data: EstimatorData


def worker_class(search: Search, data: EstimatorData) -> type[tune.Trainable]:
    """The class of a search's workers, its job put into the object store; training data only if needed."""
    spec = search.spec
    if not getattr(ESTIMATORS.get(spec.estimator.name), "needs_train_data", True):
        data = replace(data, train_images=data.train_images[:0], train_labels=data.train_labels[:0])
    stored_job = ray.put(Job(evaluation_of(spec, search.shares, data), data))

    class SearchWorker(CandidateWorker):
        job = stored_job

    return SearchWorker


class CandidateWorker(tune.Trainable):
    """A slot. Tune calls `setup` once, then for every candidate `reset_config` and, at each rung, `step`."""

    job: ClassVar[Any]  # ObjectRef of a Job

    @override
    def setup(self, config: dict[str, Any]) -> None:
        job: Job = ray.get(self.job)
        spec, self._evaluation = job.evaluation.spec, job.evaluation
        space, estimator, resources = spec.search_space, spec.estimator, spec.resources
        self._results: Iterator[CandidateResult] | None = None
        self._broken: str | None = None
        try:
            self._device = device = prepare_slot(resources)
            self._space = get_search_space(space.name, **space.options)
            self._estimator = make_estimator(estimator.name, job.data, device=device, **estimator.options)
        except Exception as error:  # raised from here it would look like a worker that died, and be retried
            self._broken = f"a worker cannot start: {type(error).__name__}: {error}"

    @override
    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._results = None
        return True  # the worker stays as it is for the next candidate

    @override
    def step(self) -> dict[str, Any]:
        if self._broken is not None:
            return {"broken": self._broken, "done": True}
        if self._results is None:
            proposal = self.config["proposal"]
            self._results = evaluate(self._space, self._estimator, proposal, self._evaluation, self._device)
        result = next(self._results)
        return {"result": result, "done": result.rung is None}
