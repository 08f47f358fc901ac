"""One call of Ray Tune per search.

Tune places the candidates on the cluster and keeps one worker per slot alive across them. What is proposed,
recorded, learnt and retried stays with `ActiveSearch`, in this process; Tune's own experiment files are
switched off as far as that goes, and thrown away.
"""

import logging
import os
import tempfile
from pathlib import Path

from ray import tune

from nas.cluster.active_search import ActiveSearch
from nas.cluster.evaluator import stored_job
from nas.cluster.waiting import RoomWatch
from nas.estimators import EstimatorData
from nas.search import Search, SearchObserver
from nas.tune_engine.hooks import CandidateFeed, OutcomeWatch, SearchOver, SubmissionOrder, WhenToStop
from nas.tune_engine.worker import worker_class

TUNE_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",  # no progress tables
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C belongs to the caller
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),  # the observer has the record
    "TUNE_MAX_PENDING_TRIALS_PG": str(10**6),  # `ActiveSearch` bounds what is in flight
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # a lost worker is the candidate's failure
}

SILENT = ("ray.tune.tune", "ray.tune.analysis")
"""Loggers of Tune that report on its files."""


class TuneEngine:
    """Evaluates as many candidates at a time as the cluster holds; `ray.init` is the caller's."""

    def __init__(self, watch: RoomWatch | None = None, scratch: Path | None = None) -> None:
        """`watch` says what happens while no candidate gets on; by default it is waited for.

        Tune's files are made and removed below `scratch`, by default where temporary files are.
        """
        self._watch, self._scratch = watch or RoomWatch(), scratch

    def run(self, search: Search, data: EstimatorData, observer: SearchObserver) -> None:
        """Return when the search is finished, its max_seconds have passed or should_stop() says so.

        Candidates in flight are then stopped and get no result. A candidate whose worker dies is evaluated
        again, at most twice; one that fails by itself never is. Re-raises what the observer or the algorithm
        raises; raises WorkerSetupError when space or estimator cannot be made on a worker, NoRoomError when
        the watch's time is over.
        """
        os.environ.update(TUNE_SETTINGS)
        for name in SILENT:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        active = ActiveSearch(search, observer, self._watch)
        with stored_job(search, data) as job:
            _run_until_over(worker_class(job), active, self._scratch)
        if active.error is not None:
            raise active.error


def _run_until_over(worker: type[tune.Trainable], active: ActiveSearch, scratch: Path | None) -> None:
    while not active.over:
        try:
            _run_tune(worker, active, scratch)
        except SearchOver:
            break
        except Exception as error:
            # Tune gives up when it meets an end of a worker that it does not know, such as Ray's memory
            # monitor killing it. The search need not.
            if not active.lose_after_crash(f"{type(error).__name__}: {error}"):
                raise


def _run_tune(worker: type[tune.Trainable], active: ActiveSearch, scratch: Path | None) -> None:
    resources = active.search.spec.resources
    with tempfile.TemporaryDirectory(prefix="gtn-nas-tune-", dir=scratch) as files:
        tune.run(
            worker,
            search_alg=CandidateFeed(active),
            scheduler=SubmissionOrder(active),
            callbacks=[OutcomeWatch(active)],
            stop=WhenToStop(active),
            num_samples=-1,
            resources_per_trial={"cpu": resources.cpus_per_candidate, "gpu": resources.gpus_per_candidate},
            reuse_actors=True,
            # `ActiveSearch` retries: Tune would never start a trial again whose idle worker died.
            max_failures=0,
            raise_on_failed_trial=False,
            trial_dirname_creator=lambda trial: trial.trial_id,
            storage_path=files,
            verbose=0,
        )
