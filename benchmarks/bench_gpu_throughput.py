"""Candidates per minute on one device that several candidates share, against the floor of its arithmetic.

    python benchmarks/bench_gpu_throughput.py                       # on a machine with a CUDA device
    python benchmarks/bench_gpu_throughput.py --device cpu --quick  # the same code, small, anywhere

NAS-Bench-201 as the benchmark has it (16 channels, 5 cells a stage), images of 3x32x32, the paper's budget
of 128 steps of 128 images, then 2,000 validation images. The images are random: only time is measured.
Candidates run in Ray workers, as in any search, 1, 2, 4 and 8 at a time on one device, the same random
architectures each time. What counts is the time while all slots are busy.

The floor is the time that the candidates' multiplications and additions would take at the device's own rate,
measured here with one large product of bfloat16 matrices: three forward passes' worth for a training step,
one for a validation image. Element-wise work, normalisation and memory traffic are not in it.
"""

import argparse
import os
import time
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_CHDIR_TO_TRIAL_DIR": "0"}

import ray
import torch
from conditions import conditions, require_device, write_results

from gtn_core.curriculum import SyntheticCurriculum
from nas import EstimatorData, Search, SearchSpec
from nas.candidates import CandidateResult, Proposal
from nas.tune_engine import TuneEngine

SETUPS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16, channels last": {"precision": "bfloat16", "channels_last": True},
    "bfloat16, channels last, CUDA graphs": {
        "precision": "bfloat16",
        "channels_last": True,
        "cuda_graphs": True,
    },
}


@dataclass(frozen=True)
class Budget:
    """What one candidate costs, and how often it is measured."""

    channels: int = 16
    cells_per_stage: int = 5
    image_size: int = 32
    steps: int = 128
    batch_size: int = 128
    validation: int = 2000
    shares: tuple[int, ...] = (1, 2, 4, 8)
    candidates: int = 32  # counted, per measurement
    repeats: int = 3
    product_size: int = 8192  # of the matrices that tell the device's rate


QUICK = Budget(4, 1, 8, 4, 16, 64, (1, 2), candidates=4, repeats=1, product_size=256)


def main() -> None:
    options = _options()
    require_device(options.device, remedy="--device cpu --quick tries the code")
    budget = QUICK if options.quick else Budget()
    rate = bfloat16_rate(options.device, budget.product_size)
    print(f"{rate / 1e12:.3g} TFLOP/s in a product of {budget.product_size}² bfloat16 matrices")
    results: dict[str, Any] = {
        "benchmark": "gpu_throughput",
        **conditions(),
        "device": device(options.device),
    }
    results |= {"budget": vars(budget), "bfloat16_flops_per_second": rate, "measurements": []}
    on_gpu = options.device == "cuda"
    ray.init(
        num_cpus=max(budget.shares),
        num_gpus=1 if on_gpu else 0,
        include_dashboard=False,
        log_to_driver=False,
    )
    data = random_data(budget)
    for setup, estimator in SETUPS.items():
        if "cuda_graphs" in estimator and not on_gpu:
            continue
        for share in budget.shares:
            runs = [measure(data, budget, estimator, share, seed, on_gpu) for seed in range(budget.repeats)]
            measured = report(runs, budget, rate) | {"setup": setup, "candidates_at_a_time": share}
            results["measurements"].append(measured)
            print(
                f"{setup:38} {share} at a time: {measured['candidates_per_minute']:8.1f} a minute, "
                f"{measured['share_of_floor']:.2%} of the floor's {measured['floor_per_minute']:.0f}"
            )
    ray.shutdown()
    if not options.quick:
        print(write_results("bench_gpu_throughput", results))


def bfloat16_rate(device: str, size: int) -> float:
    """FLOPs per second of a product of square matrices, the best of ten."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(13):
        _synchronize(device)
        start = time.perf_counter()
        left @ right
        _synchronize(device)
        seconds.append(time.perf_counter() - start)
    return 2 * float(size) ** 3 / min(seconds[3:])


def device(name: str) -> dict[str, Any]:
    """What the numbers belong to."""
    if name == "cpu":
        return {"name": "cpu"}
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]  # torch says no type
    }


def random_data(budget: Budget) -> EstimatorData:
    """A curriculum and validation data of the right shapes."""
    generator = torch.Generator().manual_seed(0)
    shape = (3, budget.image_size, budget.image_size)
    labels = torch.arange(budget.steps * budget.batch_size).view(budget.steps, budget.batch_size) % 10
    curriculum = SyntheticCurriculum(
        torch.randn(budget.steps, budget.batch_size, *shape, generator=generator),
        torch.nn.functional.one_hot(labels, 10).float(),
        torch.full((budget.steps,), 0.02),
        torch.full((budget.steps,), 0.5),
    )
    none = torch.empty(0, *shape).numpy()
    return EstimatorData(
        curriculum_images=curriculum.images.numpy(),
        curriculum_labels=curriculum.labels.numpy(),
        learning_rates=curriculum.learning_rates.numpy(),
        momenta=curriculum.momenta.numpy(),
        inner_optimizer="sgd",
        train_images=none,
        train_labels=torch.empty(0, dtype=torch.int64).numpy(),
        validation_images=torch.randn(budget.validation, *shape, generator=generator).numpy(),
        validation_labels=(torch.arange(budget.validation) % 10).numpy(),
    )


@dataclass
class Arrivals:
    """An observer that looks at the clock."""

    times: list[float] = field(default_factory=list)
    flops: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def on_proposal(self, proposal: Proposal) -> None:
        pass

    def on_result(self, result: CandidateResult) -> None:
        self.times.append(time.perf_counter())
        if result.score is not None:
            self.flops.append(result.score.flops)
        else:
            assert result.failure is not None
            self.failures.append(f"{result.failure.reason}: {result.failure.detail}")

    def should_stop(self) -> bool:
        return False


@dataclass(frozen=True)
class Run:
    """One search: its rate while all slots were busy, and its candidates' mean FLOPs of a forward pass."""

    per_second: float
    flops: float
    failures: tuple[str, ...]


def measure(
    data: EstimatorData, budget: Budget, estimator: dict[str, Any], share: int, seed: int, on_gpu: bool
) -> Run:
    spec = SearchSpec.model_validate(
        {
            "search_space": {
                "name": "nasbench201",
                "channels": budget.channels,
                "cells_per_stage": budget.cells_per_stage,
            },
            "algorithm": {"name": "random_search"},
            "estimator": {"name": "gtn", **estimator},
            "max_candidates": budget.candidates + 2 * share,
            "max_concurrent": share,
            "resources": {"cpus_per_candidate": 1, "gpus_per_candidate": 1 / share if on_gpu else 0},
            "seed": seed,
        }
    )
    shape = (3, budget.image_size, budget.image_size)
    TuneEngine().run(Search(spec, shape, 10), data, arrivals := Arrivals())
    # The first `share` results came while workers started, the last while slots ran dry.
    seconds = arrivals.times[-share - 1] - arrivals.times[share - 1]
    flops = fmean(arrivals.flops) if arrivals.flops else float("nan")
    return Run(budget.candidates / seconds, flops, tuple(arrivals.failures))


def report(runs: list[Run], budget: Budget, rate: float) -> dict[str, Any]:
    """Rates per minute with their spread, and what share of the floor's rate was reached."""
    forward_passes = 3 * budget.steps * budget.batch_size + budget.validation
    floor = [rate / (run.flops * forward_passes) for run in runs]
    per_minute = [60 * run.per_second for run in runs]
    return {
        "candidates_per_minute": fmean(per_minute),
        "standard_deviation": stdev(per_minute) if len(runs) > 1 else None,
        "n": len(runs),
        "floor_per_minute": 60 * fmean(floor),
        "share_of_floor": fmean(run.per_second / best for run, best in zip(runs, floor, strict=True)),
        "failures": [failure for run in runs for failure in run.failures],
    }


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="a tiny budget, and no results are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
