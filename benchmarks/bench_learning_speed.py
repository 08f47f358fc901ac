"""Accuracy after each inner step: learners on GTN data against the same learners on real data.

    python benchmarks/bench_learning_speed.py --dataset digits --seeds 3
    python benchmarks/bench_learning_speed.py --dataset mnist:PATH \\
        --config benchmarks/configurations/mnist_cpu.toml

Each seed meta-trains its own generator, whose curriculum teaches fresh learners. The baseline takes as many
steps on real training batches of the same size; its learning rate and momentum are the best of a grid on
validation data, tuned with other initialisations than those that are measured. Test data are opened once,
after everything is chosen.
"""

import argparse
import json
import time
import tomllib
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
import torch.nn.functional as F
from conditions import conditions, summary, write_results

from gtn_core import (
    ConvNetSampler,
    DatasetSplits,
    LearnerSampler,
    MetaStepReport,
    MetaTrainingConfig,
    Split,
    SyntheticCurriculum,
    evaluate,
    load_dataset,
    meta_train,
    train_on_curriculum,
)
from gtn_core.randomness import derive_seed, torch_generator

LEARNING_RATES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
MOMENTA = (0.0, 0.5, 0.8, 0.9)
TUNING_LEARNERS = 5


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    config = MetaTrainingConfig.model_validate(read_configuration(arguments.config))
    if arguments.meta_steps:
        config = config.model_copy(update={"meta_steps": arguments.meta_steps})
    splits = load_dataset(arguments.dataset, seed=0)
    sampler = ConvNetSampler(config)

    gtn, runs = [], []
    for seed in range(arguments.seeds):
        curriculum, run = meta_trained(splits, config, seed)
        runs.append(run)
        gtn += [learning_curve(splits.test, sampler, curriculum, seed, i) for i in range(arguments.learners)]
    learning_rate, momentum, validation_accuracy = tuned_real_data(splits, config, sampler)
    real = [
        learning_curve(
            splits.test, sampler, real_curriculum(splits, config, learning_rate, momentum, "test", i), seed, i
        )
        for seed in range(arguments.seeds)
        for i in range(seed * arguments.learners, (seed + 1) * arguments.learners)
    ]

    results = {
        "benchmark": "learning_speed",
        **conditions(),
        "threads": arguments.threads,
        "dataset": splits.dataset.name,
        "dataset_fingerprint": splits.fingerprint,
        "test_images": len(splits.test),
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
    print(write_results(f"bench_learning_speed_{splits.dataset.name}", results))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dataset", default="digits", help="digits, mnist:PATH, cifar10@16:PATH, ...")
    parser.add_argument("--seeds", type=int, default=3, help="meta-training runs")
    parser.add_argument("--learners", type=int, default=10, help="fresh learners measured per run")
    parser.add_argument("--meta-steps", type=int, help="instead of the configuration's")
    parser.add_argument(
        "--config", default="{}", help="a TOML file, or JSON; fields that are missing by default"
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    return parser.parse_args()


def read_configuration(text: str) -> dict[str, Any]:
    """The fields that a TOML file or a JSON object sets."""
    fields = tomllib.loads(Path(text).read_text()) if text.endswith(".toml") else json.loads(text)
    return dict(fields)


def meta_trained(
    splits: DatasetSplits, config: MetaTrainingConfig, seed: int
) -> tuple[SyntheticCurriculum, dict[str, Any]]:
    """The frozen curriculum of one meta-training run, and what the run took and reached."""
    seconds: list[float] = []

    def on_step(report: MetaStepReport) -> None:
        seconds.append(report.seconds)
        if report.validation_accuracy is not None:
            accuracy = f"{report.validation_accuracy:.1%}"
            print(f"seed {seed}: meta step {report.step}/{report.total}, validation {accuracy}", flush=True)

    started, cpu_started = time.perf_counter(), time.process_time()
    checkpoint = meta_train(splits, config, seed=seed, on_step=on_step)
    run = {
        "seed": seed,
        "checkpoint_id": checkpoint.id,
        "wall_seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "median_seconds_per_meta_step": median(seconds),
        "metrics": checkpoint.manifest.metrics,
    }
    return checkpoint.synthesize(), run


def tuned_real_data(
    splits: DatasetSplits, config: MetaTrainingConfig, sampler: LearnerSampler
) -> tuple[float, float, float]:
    """Learning rate, momentum and mean validation accuracy of the best pair of the grid."""
    results = []
    for learning_rate, momentum in product(LEARNING_RATES, MOMENTA):
        finals = [
            learning_curve(
                splits.validation,
                sampler,
                real_curriculum(splits, config, learning_rate, momentum, "tuning", i),
                "tuning",
                i,
            )[-1]
            for i in range(TUNING_LEARNERS)
        ]
        results.append((mean(finals), learning_rate, momentum))
    accuracy, learning_rate, momentum = max(results)
    return learning_rate, momentum, accuracy


def real_curriculum(
    splits: DatasetSplits,
    config: MetaTrainingConfig,
    learning_rate: float,
    momentum: float,
    stage: str,
    learner: int,
) -> SyntheticCurriculum:
    """Real training batches, as many and as large as the synthetic ones; no image twice while they last."""
    rng = torch_generator(0, "real data", stage, learner)
    needed = config.inner_steps * config.batch_size
    epochs = -(-needed // len(splits.train))
    order = torch.cat([torch.randperm(len(splits.train), generator=rng) for _ in range(epochs)])[:needed]
    order = order.view(config.inner_steps, config.batch_size)
    return SyntheticCurriculum(
        images=splits.train.images[order],
        labels=F.one_hot(splits.train.labels[order], splits.num_classes).float(),
        learning_rates=torch.full((config.inner_steps,), learning_rate),
        momenta=torch.full((config.inner_steps,), momentum),
    )


def learning_curve(
    split: Split, sampler: LearnerSampler, curriculum: SyntheticCurriculum, stage: int | str, index: int
) -> list[float]:
    """Accuracy on `split` after each inner step, of one fresh learner."""
    _, channels, height, width = split.images.shape
    learner = sampler(
        image_shape=(channels, height, width),
        num_classes=curriculum.labels.shape[2],
        seed=derive_seed(0, "benchmark learner", stage, index),
    )
    curve: list[float] = []

    def measure(_step: int, _loss: torch.Tensor) -> None:
        curve.append(evaluate(learner, split, batch_statistics=True).accuracy)

    train_on_curriculum(learner, curriculum, on_step=measure)
    return curve


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
    for step, row in enumerate(zip(*columns, strict=True)):
        cells = [f"{each['mean']:.1%} ± {each['standard_deviation']:.1%}" for each in row]
        print(f"{step + 1:>10}  {cells[0]:>14}  {cells[1]:>14}")
    print(f"real data at the grid's best: learning rate {real['learning_rate']}, momentum {real['momentum']}")


if __name__ == "__main__":
    main()
