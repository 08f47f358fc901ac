"""Tune's four kinds of hooks, each handing on to the active search."""

from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher
from typing_extensions import override

from nas.cluster.active_search import ActiveSearch
from nas.cluster.evaluator import WorkerSetupError


class SearchOver(Exception):  # noqa: N818 - a way out, not an error
    """Ends Tune's run at once. Its own way out writes its files and reads them again, in time with n."""


class CandidateFeed(Searcher):
    """Suggests what the search proposes; `OutcomeWatch` hears what becomes of it, in more detail."""

    def __init__(self, active: ActiveSearch) -> None:
        super().__init__()
        self._active = active
        self._given = False

    @override
    def suggest(self, trial_id: str) -> Any:  # Tune's own signature forgets FINISHED
        """One at a time: Tune starts none while it is given more, and each may take seconds to be found."""
        self._given = not self._given
        if self._given and (proposal := self._active.propose()) is not None:
            return {"proposal": proposal}
        self._given = False
        return Searcher.FINISHED if self._active.over else None

    @override
    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        pass

    @override
    def save_to_dir(self, *args: Any, **kwargs: Any) -> None:
        pass


class OutcomeWatch(tune.Callback):
    """Hears once of every trial's end."""

    def __init__(self, active: ActiveSearch) -> None:
        self._active = active

    @override
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if (worker := trial.temporary_state.ray_actor) is not None:
            self._active.evaluations.begin(trial.config["proposal"].number, worker)

    @override
    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if "broken" in result:
            self._active.fail(WorkerSetupError(result["broken"]))
        elif result["done"]:
            self._active.complete(result["result"])

    @override
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._active.lose(trial.config["proposal"], _cause_of_death(trial))


class SubmissionOrder(FIFOScheduler):
    """Names no trial to run next, so that a new trial takes a free worker; stops those that do not go on.

    FIFOScheduler looks through all trials at every event and names the oldest that is pending. When that one
    waits for a new worker to start, it takes the free worker and the new one is cancelled: with candidates
    shorter than a worker's start, a slot whose worker died would never be filled again.
    """

    def __init__(self, active: ActiveSearch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's omission
        self._active = active

    @override
    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Tune asks at every rung but the last."""
        return self.CONTINUE if self._active.goes_on(result["result"]) else self.STOP

    @override
    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        return None


class WhenToStop(tune.Stopper):
    """Ends the run when the search is over; Tune asks after every event and at least ten times a second."""

    def __init__(self, active: ActiveSearch) -> None:
        self._active = active

    @override
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    @override
    def stop_all(self) -> bool:
        self._active.poll()
        if self._active.over:
            raise SearchOver
        return False


def _cause_of_death(trial: Trial) -> str:
    """What Ray says of the worker's end."""
    return Path(trial.error_file).read_text(errors="replace") if trial.error_file else "no cause is known"
