"""What each part of the method is worth: MNIST at 14x14, each part changed alone, several seeds each.

    python benchmarks/bench_ablation.py --dataset mnist@14:PATH --seeds 3

Every variant is meta-trained from the same seeds and teaches the same fresh learners: convnets of the
reference and cells of NAS-Bench-201, so that transfer between families is seen too. Accuracies are on
validation data, since variants are there to be chosen from. Each run is kept at once; a repeated command does
only what is missing, and runs of another configuration are told apart.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from bench_learning_speed import fresh_curve
from conditions import RESULTS, conditions, write_results

from gtn_core import (
    ConvNetSampler,
    DatasetSplits,
    LearnerSampler,
    MetaTrainingConfig,
    load_dataset,
    meta_train,
)
from gtn_core.learning_curves import first_images
from nas import get_search_space
from services.meta_worker.learner_sampling import MixedLearnerSampler

REFERENCE: dict[str, Any] = {
    "inner_steps": 10,
    "batch_size": 32,
    "latent_size": 32,
    "generator_hidden": 128,
    "generator_channels": (16, 8),
    "learner_channels": (8, 16),
    "learner_hidden": 32,
    "meta_steps": 40,
    "outer_batch_size": 128,
    "outer_learning_rate": 0.01,
    "validate_every": 0,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "reference": {},
    "shuffled batches": {"curriculum": "shuffled_batches"},
    "all shuffled": {"curriculum": "all_shuffled"},
    "no curriculum": {"curriculum": "none"},
    "pixels, no generator": {"curriculum": "pixels", "outer_learning_rate": 0.05},
    "start from real images": {"first_images": "real"},
    "no weight normalisation": {
        "generator_weight_normalization": False,
        "learner_weight_normalization": False,
    },
    "fixed inner schedule": {"learned_schedule": False},
    "soft labels": {"labels": "soft"},
    "window of 5": {"window": 5},
    "no clipping": {"gradient_clipping": False},
    "diverse convnets": {"learner_width_range": (0.5, 2.0), "learner_depth_range": (1, 3)},
    "half cells": {},
    "all cells": {},
    "pixels from real images": {
        "curriculum": "pixels",
        "first_images": "real",
        "outer_learning_rate": 0.05,
    },
    "mean-only normalisation": {"learner_normalization": "mean_only", "initial_learning_rate": 0.05},
    "inner Adam": {"inner_optimizer": "adam", "initial_learning_rate": 0.01, "initial_momentum": 0.9},
    "loss at the end alone": {"outer_loss_every": 10},
    "mean over meta steps": {"average_decay": 0.9},
}
CELL_SHARES = {"half cells": 0.5, "all cells": 1.0}
CELLS = {"channels": 4, "cells_per_stage": 1}
TESTED_LEARNERS = 10
TESTED_IMAGES = 2000


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    splits = load_dataset(arguments.dataset, seed=0)
    splits = replace(splits, validation=first_images(splits.validation, TESTED_IMAGES))
    kept = Kept(arguments.runs)
    for seed in range(arguments.seeds):
        for name in arguments.variants:
            if kept.find(name, seed) is None:
                kept.add(measured(name, seed, splits))
    found = [kept.find(name, seed) for name in arguments.variants for seed in range(arguments.seeds)]
    runs = [run for run in found if run is not None]
    results = {
        "benchmark": "ablation",
        **conditions(),
        "dataset": f"{splits.dataset.name}@{splits.dataset.image_size}",
        "dataset_fingerprint": splits.fingerprint,
        "reference": MetaTrainingConfig(**REFERENCE).model_dump(mode="json"),
        "cells": CELLS,
        "tested_learners_per_run": TESTED_LEARNERS,
        "tested_validation_images": TESTED_IMAGES,
        "variants": summarised(runs),
        "runs": runs,
    }
    print_table(results)
    print(write_results("bench_ablation", results))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dataset", default="mnist@14:../shared/data/mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument(
        "--runs",
        type=Path,
        default=RESULTS / "bench_ablation_runs.jsonl",
        help="file of the finished runs",
    )
    return parser.parse_args()


class Kept:
    """Finished runs, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def find(self, name: str, seed: int) -> dict[str, Any] | None:
        asked = name, seed, configuration(name)
        return next((run for run in self.runs if asked == _identity(run)), None)

    def add(self, run: dict[str, Any]) -> None:
        run = json.loads(json.dumps(run))  # as it will be read
        self.runs.append(run)
        with self.path.open("a") as file:
            file.write(json.dumps(run) + "\n")
        shown = {family: round(mean(values), 3) for family, values in run["accuracies"].items()}
        print(run["variant"], run["seed"], shown, f"{run['cpu_seconds']:.0f} s", flush=True)


def _identity(run: dict[str, Any]) -> tuple[str, int, MetaTrainingConfig]:
    """Fields that the configuration had not yet are at their defaults, which leave a run as it was."""
    return run["variant"], run["seed"], MetaTrainingConfig.model_validate(run["config"])


def configuration(name: str) -> MetaTrainingConfig:
    return MetaTrainingConfig(**REFERENCE | VARIANTS[name])


def measured(name: str, seed: int, splits: DatasetSplits) -> dict[str, Any]:
    """One meta-training, and what fresh learners of both families reach on its curriculum."""
    config = configuration(name)
    convnets: LearnerSampler = ConvNetSampler(config)
    cells = get_search_space("nasbench201", **CELLS)
    sampler = MixedLearnerSampler(convnets, cells, CELL_SHARES[name]) if name in CELL_SHARES else convnets
    started = time.process_time()
    curriculum = meta_train(splits, config, seed=seed, learner_sampler=sampler).synthesize()
    seconds = time.process_time() - started

    one_shape = config.model_copy(update={"learner_width_range": (1.0, 1.0), "learner_depth_range": None})
    tested: dict[str, LearnerSampler] = {
        "convnets": ConvNetSampler(one_shape),
        "cells": MixedLearnerSampler(convnets, cells, 1.0),
    }
    last = [config.inner_steps]
    accuracies = {
        family: [
            fresh_curve(splits.validation, learners, curriculum, "ablation", index, last)[-1]
            for index in range(TESTED_LEARNERS)
        ]
        for family, learners in tested.items()
    }
    return {
        "variant": name,
        "seed": seed,
        "config": config.model_dump(mode="json"),
        "cpu_seconds": seconds,
        "accuracies": accuracies,
    }


def summarised(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By variant: mean accuracy, spread over seeds, and points over the reference of the same seed."""

    def accuracy(run: dict[str, Any], family: str) -> float:
        return float(mean(run["accuracies"][family]))

    references = {run["seed"]: run for run in runs if run["variant"] == "reference"}
    rows = []
    for name in dict.fromkeys(run["variant"] for run in runs):
        own = [run for run in runs if run["variant"] == name]
        row: dict[str, Any] = {"variant": name, "seeds": len(own)}
        for family in ("convnets", "cells"):
            found = [accuracy(run, family) for run in own]
            points = [
                100 * (accuracy(run, family) - accuracy(references[run["seed"]], family))
                for run in own
                if run["seed"] in references
            ]
            row[family] = {
                "mean": mean(found),
                "standard_deviation": stdev(found) if len(found) > 1 else None,
                "points_over_reference": mean(points) if points else None,
                "points_standard_deviation": stdev(points) if len(points) > 1 else None,
            }
        rows.append(row | {"cpu_seconds_per_run": mean(run["cpu_seconds"] for run in own)})
    return rows


def print_table(results: dict[str, Any]) -> None:
    print(f"\nvalidation accuracy on {results['dataset']} of fresh learners; points over the reference")
    print(f"{'variant':>24}  {'seeds':>5}  {'convnets':>18}  {'NAS-Bench-201 cells':>20}  {'CPU s':>5}")
    for row in results["variants"]:
        cells = [_cell(row[family]) for family in ("convnets", "cells")]
        seconds = row["cpu_seconds_per_run"]
        print(f"{row['variant']:>24}  {row['seeds']:>5}  {cells[0]:>18}  {cells[1]:>20}  {seconds:>5.0f}")


def _cell(found: dict[str, Any]) -> str:
    points, deviation = found["points_over_reference"], found["points_standard_deviation"]
    return f"{found['mean']:.1%} {points or 0:+.1f} ± {deviation or 0:.1f}"


if __name__ == "__main__":
    main()
