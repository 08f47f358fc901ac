"""Accuracy after each inner step: learners on GTN data against the same learners on real data.

    python benchmarks/bench_learning_speed.py --dataset digits --seeds 3
    python benchmarks/bench_learning_speed.py --dataset mnist:PATH \\
        --config benchmarks/configurations/mnist_cpu.toml

On a GPU, the paper's learners and curricula:

    python benchmarks/bench_learning_speed.py --device cuda --dataset mnist:PATH --seeds 1 --learners 20 \\
        --config gtn_core/presets/paper_mnist.toml --name mnist_paper
    python benchmarks/bench_learning_speed.py --device cuda --dataset cifar10:PATH --seeds 1 --learners 20 \\
        --config gtn_core/presets/paper_cifar10.toml --name cifar10_paper

Each seed meta-trains its own generator, whose curriculum teaches fresh learners. The baseline takes as many
steps on real training batches of the same size; its learning rate and momentum are the best of a grid on
validation data, tuned with other initialisations than those that are measured. Test data are opened once,
after everything is chosen. With --state a run that is cut short goes on where it was.
"""

import argparse
import json
import time
import tomllib
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from conditions import conditions, require_device, summary, write_results

from gtn_core import (
    ConvNetSampler,
    DatasetSplits,
    LearnerSampler,
    MetaStepReport,
    MetaTrainingConfig,
    Split,
    SyntheticCurriculum,
    load_dataset,
    meta_train,
)
from gtn_core.learning_curves import first_images, learning_curve, real_curriculum
from gtn_core.randomness import derive_seed, torch_generator

LEARNING_RATES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
MOMENTA = (0.0, 0.5, 0.8, 0.9)
TUNING_LEARNERS = 3
TUNING_IMAGES = 2000
"""Validation images that the baseline is tuned on; more would cost more than they tell apart."""


def main() -> None:
    arguments = parse_arguments()
    require_device(arguments.device)
    torch.set_num_threads(arguments.threads)
    config = MetaTrainingConfig.model_validate(read_configuration(arguments.config))
    if arguments.meta_steps:
        config = config.model_copy(update={"meta_steps": arguments.meta_steps})
    splits = load_dataset(arguments.dataset, seed=0)
    sampler = ConvNetSampler(config)

    steps = measured_steps(config.inner_steps)
    curricula, runs = [], []
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for seed in seeds:
        curriculum, run = meta_trained(splits, config, seed, arguments.state, arguments.device)
        runs.append(run)
        curricula.append(curriculum.to(arguments.device))
    few = first_images(splits.validation, TUNING_IMAGES, arguments.device)
    test = first_images(splits.test, len(splits.test), arguments.device)
    learning_rate, momentum, validation_accuracy = tuned_real_data(splits, config, sampler, few)
    gtn, real = [], []
    for seed, curriculum in zip(seeds, curricula, strict=True):
        for i in range(seed * arguments.learners, (seed + 1) * arguments.learners):
            batches = real_batches(splits, config, learning_rate, momentum, "test", i)
            gtn.append(fresh_curve(test, sampler, curriculum, seed, i, steps))
            real.append(fresh_curve(test, sampler, batches, seed, i, steps))

    results = {
        "benchmark": "learning_speed",
        **conditions(),
        "threads": arguments.threads,
        "device": arguments.device,
        "dataset": splits.dataset.name,
        "dataset_fingerprint": splits.fingerprint,
        "test_images": len(splits.test),
        "measured_steps": steps,
        "config": config.model_dump(mode="json"),
        "meta_training": runs,
        "gtn": curve_summary(gtn),
        "real_data": {
            "learning_rate": learning_rate,
            "momentum": momentum,
            "validation_accuracy": validation_accuracy,
            "grid": {"learning_rates": LEARNING_RATES, "momenta": MOMENTA, "learners": TUNING_LEARNERS},
            **curve_summary(real),
        },
    }
    print_table(results)
    print(write_results(f"bench_learning_speed_{arguments.name or splits.dataset.name}", results))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dataset", default="digits", help="digits, mnist:PATH, cifar10@16:PATH, ...")
    parser.add_argument("--seeds", type=int, default=3, help="meta-training runs")
    parser.add_argument("--first-seed", type=int, default=0, help="of those runs")
    parser.add_argument("--learners", type=int, default=10, help="fresh learners measured per run")
    parser.add_argument("--meta-steps", type=int, help="instead of the configuration's")
    parser.add_argument(
        "--config", default="{}", help="a TOML file, or JSON; fields that are missing by default"
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--device", default="cpu", help="where everything is computed, such as cuda")
    parser.add_argument("--state", type=Path, help="folder of resumable states")
    parser.add_argument("--name", help="of the results; the data set's by default")
    return parser.parse_args()


def read_configuration(text: str) -> dict[str, Any]:
    """The fields that a TOML file or a JSON object sets."""
    fields = tomllib.loads(Path(text).read_text()) if text.endswith(".toml") else json.loads(text)
    return dict(fields)


def meta_trained(
    splits: DatasetSplits, config: MetaTrainingConfig, seed: int, folder: Path | None, device: str
) -> tuple[SyntheticCurriculum, dict[str, Any]]:
    """The frozen curriculum of one meta-training run, and what the run took and reached.

    Times are of this process: a run that was resumed says from which meta step.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        state = folder / f"learning_speed_{seed}.state"
    seconds: list[float] = []

    def on_step(report: MetaStepReport) -> None:
        seconds.append(report.seconds)
        if report.validation_accuracy is not None:
            accuracy = f"{report.validation_accuracy:.1%}"
            print(f"seed {seed}: meta step {report.step}/{report.total}, validation {accuracy}", flush=True)

    started, cpu_started = time.perf_counter(), time.process_time()
    checkpoint = meta_train(
        splits,
        config,
        seed=seed,
        on_step=on_step,
        state_path=None if folder is None else state,
        device=device,
    )
    run = {
        "seed": seed,
        "checkpoint_id": checkpoint.id,
        "wall_seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "meta_steps_in_this_process": len(seconds),
        "median_seconds_per_meta_step": median(seconds) if seconds else None,
        "metrics": checkpoint.manifest.metrics,
    }
    return checkpoint.synthesize(), run


def tuned_real_data(
    splits: DatasetSplits, config: MetaTrainingConfig, sampler: LearnerSampler, few: Split
) -> tuple[float, float, float]:
    """Learning rate, momentum and mean accuracy on `few` validation images of the best pair of the grid."""
    last = [config.inner_steps]
    results = []
    for learning_rate, momentum in product(LEARNING_RATES, MOMENTA):
        finals = [
            fresh_curve(
                few,
                sampler,
                real_batches(splits, config, learning_rate, momentum, "tuning", i),
                "tuning",
                i,
                last,
            )[-1]
            for i in range(TUNING_LEARNERS)
        ]
        results.append((mean(finals), learning_rate, momentum))
    accuracy, learning_rate, momentum = max(results)
    return learning_rate, momentum, accuracy


def real_batches(
    splits: DatasetSplits,
    config: MetaTrainingConfig,
    learning_rate: float,
    momentum: float,
    stage: str,
    learner: int,
) -> SyntheticCurriculum:
    """Real training batches, as many and as large as the synthetic ones."""
    return real_curriculum(
        splits,
        steps=config.inner_steps,
        batch_size=config.batch_size,
        learning_rate=learning_rate,
        momentum=momentum,
        rng=torch_generator(0, "real data", stage, learner),
    )


def measured_steps(inner_steps: int) -> list[int]:
    """All steps of a short curriculum; of a long one the powers of two and the last."""
    if inner_steps <= 10:
        return list(range(1, inner_steps + 1))
    return sorted({2**power for power in range(inner_steps.bit_length())} | {inner_steps})


def fresh_curve(
    split: Split,
    sampler: LearnerSampler,
    curriculum: SyntheticCurriculum,
    stage: int | str,
    index: int,
    steps: Sequence[int],
) -> list[float]:
    """Accuracy on `split` after those inner steps (from 1), of one fresh learner."""
    _, channels, height, width = split.images.shape
    learner = sampler(
        image_shape=(channels, height, width),
        num_classes=curriculum.labels.shape[2],
        seed=derive_seed(0, "benchmark learner", stage, index),
    )
    device = split.images.device
    return learning_curve(learner.to(device), curriculum.to(device), split, steps)


def curve_summary(curves: list[list[float]]) -> dict[str, Any]:
    return {
        "test_accuracy": summary([curve[-1] for curve in curves]),
        "test_accuracy_by_step": [summary(step) for step in zip(*curves, strict=True)],
    }


def print_table(results: dict[str, Any]) -> None:
    columns = [results[name]["test_accuracy_by_step"] for name in ("gtn", "real_data")]
    n, real = columns[0][0]["n"], results["real_data"]
    print(f"\ntest accuracy on {results['dataset']}, mean ± standard deviation over {n} fresh learners")
    print(f"{'inner step':>10}  {'GTN data':>14}  {'real data':>14}")
    for step, row in zip(results["measured_steps"], zip(*columns, strict=True), strict=True):
        cells = [f"{each['mean']:.1%} ± {each['standard_deviation']:.1%}" for each in row]
        print(f"{step:>10}  {cells[0]:>14}  {cells[1]:>14}")
    print(f"real data at the grid's best: learning rate {real['learning_rate']}, momentum {real['momentum']}")


if __name__ == "__main__":
    main()
