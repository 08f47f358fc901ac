"""What the service adds to a candidate, against the same scoring in a bare loop in one process.

Two layers are measured: Ray Tune alone, and the whole service, from the search submitted over HTTP to the
candidate's row in the database (SQLite).

    python benchmarks/bench_overhead.py --candidates 60 --repeats 3

A candidate's overhead is the time from one result's arrival to the next, less the seconds that the second
one's evaluation took by its own clock. One candidate at a time, so that this is all there is. Starting the
workers is reported apart: it is paid once per search.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}

import ray
import torch
import torch.nn.functional as F
from conditions import conditions, summary, write_results

from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import load_dataset
from nas import EstimatorData, Search, SearchSpec, SerialEngine, estimator_data
from nas.search import CandidateResult, Proposal
from nas.tune_engine import TuneEngine
from services.client import Client
from services.local_stack import LocalStack
from services.shutdown import Shutdown
from services.wiring import load_settings

INNER_STEPS, BATCH_SIZE = 10, 32


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    seeds = list(range(options.repeats))
    results: dict[str, Any] = {"benchmark": "overhead", **conditions(), "seeds": seeds}
    results["setting"] = (
        f"digits, {INNER_STEPS} steps of {BATCH_SIZE} images, nasbench201 with 8 channels and 1 cell a "
        f"stage, random search, {options.candidates} candidates, one at a time"
    )
    data = digits_data()
    for name, measure in MEASUREMENTS.items():
        results[name] = report([measure(search_for(seed, options.candidates), data) for seed in seeds])
        print(f"{name:12}  {_in_milliseconds(results[name])}")
    print(write_results("bench_overhead", results))


@dataclass
class Arrivals:
    """An observer that looks at the clock."""

    started: float = field(default_factory=time.perf_counter)
    times: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def on_proposal(self, proposal: Proposal) -> None:
        pass

    def on_result(self, result: CandidateResult) -> None:
        self.times.append(time.perf_counter())
        self.seconds.append(result.score.seconds if result.score else 0.0)

    def should_stop(self) -> bool:
        return False

    def overheads(self) -> list[float]:
        """Of all candidates but the first, in seconds."""
        gaps = [after - before for before, after in zip(self.times, self.times[1:], strict=False)]
        return [gap - seconds for gap, seconds in zip(gaps, self.seconds[1:], strict=True)]


def bare_loop(search: Search, data: EstimatorData) -> Arrivals:
    arrivals = Arrivals()
    SerialEngine().run(search, data, arrivals)
    return arrivals


def tune_engine(search: Search, data: EstimatorData) -> Arrivals:
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        arrivals = Arrivals()
        TuneEngine().run(search, data, arrivals)
        return arrivals
    finally:
        ray.shutdown()


def whole_service(search: Search, data: EstimatorData) -> Arrivals:  # noqa: ARG001 - its data are a checkpoint's
    """Controller, meta-worker and search runner as processes; a result arrives when its row is written."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(data_dir=Path(folder), port=0)
        with LocalStack(settings) as stack, Client(stack.url) as client:
            stack.wait_until_ready(Shutdown())
            shape = {"inner_steps": INNER_STEPS, "batch_size": BATCH_SIZE, "meta_steps": 2}
            checkpoint = client.wait(client.create_meta_training({"name": "digits"}, shape).id).checkpoint_id
            submitted = client.create_search(
                checkpoint_id=checkpoint, **search.spec.model_dump(mode="json", exclude={"estimator"})
            )
            started = client.wait(submitted.id).started_at.timestamp()
            candidates = list(client.candidates(submitted.id, order_by="number"))
    return Arrivals(
        started,
        [candidate.finished_at.timestamp() for candidate in candidates],
        [candidate.metrics.seconds if candidate.metrics else 0.0 for candidate in candidates],
    )


MEASUREMENTS: dict[str, Callable[[Search, EstimatorData], Arrivals]] = {
    "bare loop": bare_loop,
    "tune engine": tune_engine,
    "service": whole_service,
}


def report(runs: list[Arrivals]) -> dict[str, Any]:
    return {
        "overhead_seconds": summary([overhead for run in runs for overhead in run.overheads()]),
        "evaluation_seconds": summary([seconds for run in runs for seconds in run.seconds[1:]]),
        "start_seconds": [run.times[0] - run.started - run.seconds[0] for run in runs],
    }


def search_for(seed: int, candidates: int) -> Search:
    spec = SearchSpec.model_validate(
        {
            "search_space": {"name": "nasbench201", "channels": 8, "cells_per_stage": 1},
            "algorithm": {"name": "random_search"},
            "max_candidates": candidates,
            "max_concurrent": 1,
            "seed": seed,
        }
    )
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


def _in_milliseconds(measured: dict[str, Any]) -> str:
    overhead, evaluation = measured["overhead_seconds"], measured["evaluation_seconds"]
    starts = ", ".join(f"{seconds:.1f} s" for seconds in measured["start_seconds"])
    return (
        f"overhead {1e3 * overhead['mean']:.1f} ms a candidate (median {1e3 * overhead['median']:.1f}, 95 % "
        f"below {1e3 * overhead['p95']:.1f}, n {overhead['n']}); "
        f"evaluation {1e3 * evaluation['mean']:.0f} ms; start {starts}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=60, help="per repeat")
    parser.add_argument("--repeats", type=int, default=3, help="searches with seeds 0, 1, ...")
    return parser.parse_args()


if __name__ == "__main__":
    main()
