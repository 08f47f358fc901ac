"""Processes are killed at random, and nothing that was acknowledged is lost or comes twice.

SIGKILL goes to the controller, search runners, the meta-training worker, Ray's workers and PostgreSQL, in an
order and at moments that a seed decides, while searches, meta-trainings and final trainings run. 25 kills
take about two minutes on two cores; a longer run, or another order, by the environment:

    GTN_NAS_TEST_CHAOS_KILLS=500 GTN_NAS_TEST_CHAOS_SEED=7 python -m pytest tests/chaos -rA
"""

import os
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.client import Client
from services.lifecycle import JobState

from ..waiting import wait_until
from .ledger import Ledger
from .stack import TARGETS, Stack

KILLS = int(os.environ.get("GTN_NAS_TEST_CHAOS_KILLS", "25"))
SEED = int(os.environ.get("GTN_NAS_TEST_CHAOS_SEED", "0"))
ROUND = (*TARGETS, "controller", "meta-worker", "postgres")  # after a runner, a Ray has to start anew
TRAINING: dict[str, Any] = {"inner_steps": 2, "batch_size": 8, "learner_channels": [4], "save_every": 10}

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(600 + 30 * KILLS)]


def test_nothing_that_was_acknowledged_is_lost_or_comes_twice(tmp_path: Path) -> None:
    random = Random(SEED)
    targets = [ROUND[number % len(ROUND)] for number in range(KILLS)]
    random.shuffle(targets)
    with Stack(tmp_path) as stack, Client(stack.url, retries=60, backoff=0.2) as client:
        work = Work(client, Ledger(stack.url))
        for target in targets:
            work.go_on()
            if target not in ("search runner", "ray worker"):  # while those start, trainings would slow them
                work.train()
            time.sleep(random.uniform(0.2, 2.0))
            work.look()
            while not stack.kill(target, random):
                work.go_on()
                time.sleep(0.2)
            print(f"{time.strftime('%X')} killed {target}", flush=True)
        work.finish()
        verdict = work.ledger.judge(client, work.searches)
        work.check()
    print(
        f"{KILLS} kills, {verdict.evaluations} evaluations ({verdict.acknowledged} acknowledged), "
        f"{len(verdict.losses)} losses, {len(verdict.duplicates)} duplicates"
    )
    assert verdict.losses == []
    assert verdict.duplicates == []
    assert verdict.evaluations >= KILLS
    assert verdict.acknowledged == verdict.evaluations
    assert stack.left_over == [], "every process has ended"


class Work:
    """Jobs of every kind, so that each kill meets some."""

    def __init__(self, client: Client, ledger: Ledger) -> None:
        self.client, self.ledger = client, ledger
        self.searches: list[str] = []
        first = client.create_meta_training(dataset={"name": "digits"}, config=TRAINING | {"meta_steps": 2})
        trained = client.wait(first.id, timeout=240)
        self._checkpoint = getattr(trained, "checkpoint_id", None)
        assert self._checkpoint is not None, trained.error
        self._trainings: list[str] = []
        self._final_trainings: list[str] = []

    def go_on(self) -> None:
        """Submit a search when there is none, and final trainings once there is a network for them."""
        if not self.searches or self._ended(self.searches[-1]):
            self._search()
        if not self._final_trainings and list(self._best(1)):
            self._retrain()

    def train(self) -> None:
        """Submit the same meta-training twice when no training is left."""
        if all(map(self._ended, [*self._trainings, *self._final_trainings])):
            for _ in range(2):
                config = TRAINING | {"meta_steps": 150}
                job = self.client.create_meta_training(dataset={"name": "digits"}, config=config)
                self._trainings.append(job.id)

    def look(self) -> None:
        self.ledger.look(self.client, self.searches[-1])

    def finish(self) -> None:
        """Let everything come to its end, the last search after an extension."""
        if not self._final_trainings:
            wait_until(lambda: list(self._best(1)))
            self._retrain()
        last = self.searches[-1]
        wait_until(lambda: self._ended(last), seconds=400)
        self.client.extend(last, candidates=10)
        wait_until(lambda: self._ended(last), seconds=400)
        for job_id in (*self._trainings, *self._final_trainings):
            wait_until(lambda job_id=job_id: self._ended(job_id), seconds=400)

    def check(self) -> None:
        """All succeeded, in full; equal trainings ended equally, however often they were cut off."""
        for search_id in self.searches:
            search = self.client.get_search(search_id)
            assert search.state is JobState.SUCCEEDED, search.error
            assert search.progress.done == search.progress.total
            numbers = [each.number for each in self.client.candidates(search_id, order_by="number")]
            assert numbers == list(range(search.progress.total))
        products = [self.client.get_job(job_id) for job_id in (*self._trainings, *self._final_trainings)]
        assert all(job.state is JobState.SUCCEEDED for job in products), [job.error for job in products]
        assert len({getattr(job, "checkpoint_id", None) for job in products} - {None}) == 1
        results = [job.result or {} for job in products]
        assert len({result["weights"] for result in results if "weights" in result}) == 1

    def _search(self) -> None:
        search = self.client.create_search(
            checkpoint_id=self._checkpoint,
            search_space={"name": "nasbench201", "channels": 4, "cells_per_stage": 1},
            algorithm={"name": "regularized_evolution", "population_size": 10, "sample_size": 3},
            estimator={"name": "scripted", "seconds": 0.15},
            max_candidates=200,
            seed=len(self.searches),
        )
        self.searches.append(search.id)
        self.ledger.follow(search.id)

    def _best(self, limit: int) -> Any:
        return self.client.candidates(self.searches[0], state="succeeded", order_by="number", limit=limit)

    def _retrain(self) -> None:
        (candidate,) = self._best(1)
        for _ in range(2):
            self._final_trainings.append(self.client.retrain(candidate.id, epochs=20).id)

    def _ended(self, job_id: str) -> bool:
        return self.client.get_job(job_id).state.terminal
