"""What the benchmarks of throughput and scaling share: searches, data, and an observer with a clock."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # For Ray's workers and the service's processes, which must find the simulated estimator.
    "PYTHONPATH": os.pathsep.join(
        filter(None, [str(Path(__file__).parent / "plugin"), os.environ.get("PYTHONPATH")])
    ),
}
sys.path.insert(0, str(Path(__file__).parent / "plugin"))

import ray
import torch
import torch.nn.functional as F

from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import load_dataset
from nas import EstimatorData, Search, SearchSpec, estimator_data
from nas.candidates import CandidateResult, Proposal

INNER_STEPS, BATCH_SIZE = 10, 32


@dataclass
class Arrivals:
    """An observer that looks at the clock."""

    started: float = field(default_factory=time.perf_counter)
    times: list[float] = field(default_factory=list)  # of results, as they come
    seconds: list[float] = field(default_factory=list)  # that their evaluations took by their own clock
    slots: list[float] = field(default_factory=list)  # which slot each is from; 0 where it does not say

    def on_proposal(self, proposal: Proposal) -> None:
        pass

    def on_result(self, result: CandidateResult) -> None:
        if result.score is None:
            raise RuntimeError(f"a candidate failed: {result.failure}")
        self.note(time.perf_counter(), result.score.seconds, result.score.extra.get("slot", 0.0))

    def should_stop(self) -> bool:
        return False

    def note(self, now: float, seconds: float, slot: float) -> None:
        self.times.append(now)
        self.seconds.append(seconds)
        self.slots.append(slot)

    @property
    def start_seconds(self) -> float:
        """Until the first evaluation began: paid once per search."""
        return self.times[0] - self.started - self.seconds[0]

    def all_at_work(self, slots: int) -> int | None:
        """How many results there were when so many slots had given one; None if they never had."""
        seen: set[float] = set()
        for count, slot in enumerate(self.slots, start=1):
            seen.add(slot)
            if len(seen) == slots:
                return count
        return None

    def turns(self, slots: int = 1) -> list[tuple[float, float]]:
        """Once all slots are at work, of each result: its own seconds, and those since its slot's last."""
        first = self.all_at_work(slots)
        latest: dict[float, float] = {}
        turns = []
        for count, (now, seconds, slot) in enumerate(zip(self.times, self.seconds, self.slots, strict=True)):
            if first is not None and count >= first:
                turns.append((seconds, now - latest[slot]))
            latest[slot] = now
        return turns


def use_of_slots(turns: Sequence[tuple[float, float]]) -> float:
    """Which share of their time slots spend on candidates."""
    return sum(seconds for seconds, _ in turns) / sum(taken for _, taken in turns)


def overheads(turns: Sequence[tuple[float, float]]) -> list[float]:
    """What each candidate's slot took beyond the candidate's own seconds."""
    return [taken - seconds for seconds, taken in turns]


def real_spec(seed: int, candidates: int, **changes: Any) -> SearchSpec:
    """Candidates of about a tenth of a second on one core."""
    body: dict[str, Any] = {
        "search_space": {"name": "nasbench201", "channels": 8, "cells_per_stage": 1},
        "algorithm": {"name": "random_search"},
        "max_candidates": candidates,
        "seed": seed,
    }
    return SearchSpec.model_validate(body | changes)


def simulated_spec(seed: int, candidates: int, *, slots: int, **estimator: Any) -> SearchSpec:
    """Candidates that sleep, `slots` of them on every two CPUs, from a space too large to be exhausted."""
    return real_spec(
        seed,
        candidates,
        search_space={"name": "nasnet_micro"},
        estimator={"name": "simulated", **estimator},
        resources={"cpus_per_candidate": 2 / slots},
        max_concurrent=slots,
    )


def search_of(spec: SearchSpec) -> Search:
    return Search(spec, image_shape=(1, 8, 8), num_classes=10)


def digits_data() -> EstimatorData:
    """Digits in a curriculum's shape: what the images show does not matter here."""
    splits = load_dataset("digits", seed=0)
    count = INNER_STEPS * BATCH_SIZE
    curriculum = SyntheticCurriculum(
        images=splits.train.images[:count].view(INNER_STEPS, BATCH_SIZE, 1, 8, 8),
        labels=F.one_hot(splits.train.labels[:count], 10).float().view(INNER_STEPS, BATCH_SIZE, 10),
        learning_rates=torch.full((INNER_STEPS,), 0.1),
        momenta=torch.full((INNER_STEPS,), 0.5),
    )
    return estimator_data(curriculum, splits)


@contextmanager
def local_ray() -> Iterator[None]:
    """A Ray of two CPUs, however many the machine has: slots are shares of them."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()
