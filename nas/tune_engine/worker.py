"""What Tune runs on the cluster: one process per slot."""

from typing import Any, ClassVar

import ray
from ray import tune
from typing_extensions import override

from nas.cluster.evaluator import Evaluator


def worker_class(stored_job: Any) -> type[tune.Trainable]:
    """The class of a search's workers, from an ObjectRef of its job."""

    class SearchWorker(CandidateWorker):
        job = stored_job

    return SearchWorker


class CandidateWorker(tune.Trainable):
    """A slot. Tune calls `setup` once, then for every candidate `reset_config` and, at each rung, `step`."""

    job: ClassVar[Any]  # ObjectRef of a Job

    @override
    def setup(self, config: dict[str, Any]) -> None:
        self._evaluator = Evaluator(ray.get(self.job))
        self._begun = False

    @override
    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begun = False
        return True  # the worker stays as it is for the next candidate

    @override
    def step(self) -> dict[str, Any]:
        if self._evaluator.broken is not None:
            return {"broken": self._evaluator.broken, "done": True}
        evaluator = self._evaluator
        result = evaluator.go_on() if self._begun else evaluator.begin(self.config["proposal"])
        self._begun = True
        return {"result": result, "done": result.rung is None}
