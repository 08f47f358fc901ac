"""Make a frozen checkpoint that comes with the package: small, with measured learning curves in its manifest.

    python benchmarks/ship_checkpoint.py digits --dataset digits
    python benchmarks/ship_checkpoint.py cifar10 --dataset cifar10@16:PATH \\
        --config benchmarks/configurations/cifar10_shipped.toml --learner-space nasbench201 --state FILE

Weights are kept in half precision, and the data set without its path, which is another on each machine. The
curves are validation accuracies of fresh convnets on what is then in the file, on real data at the best
learning rate and momentum of a grid, and on noise with the checkpoint's own labels and schedule.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from bench_learning_speed import read_configuration

import gtn_core.presets
from gtn_core import (
    ConvNetSampler,
    LearnerSampler,
    MetaStepReport,
    MetaTrainingConfig,
    load_dataset,
    meta_train,
    with_learning_curves,
)
from gtn_core.checkpoint import repack
from nas import get_search_space
from services.meta_worker.learner_sampling import MixedLearnerSampler

CURVE_LEARNERS = 5
CURVE_IMAGES = 2000
MAX_BYTES = 8 * 2**20
CELLS = {"channels": 8, "cells_per_stage": 1}


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    splits = load_dataset(arguments.dataset, seed=0)
    splits = replace(splits, dataset=splits.dataset.model_copy(update={"path": None}))
    config = MetaTrainingConfig.model_validate(read_configuration(arguments.config))
    trained = meta_train(
        splits,
        config,
        seed=arguments.seed,
        on_step=report,
        learner_sampler=learners(config, arguments.learner_space),
        state_path=arguments.state,
    )
    small = repack(trained, storage="float16")
    shipped = with_learning_curves(small, splits, learners=CURVE_LEARNERS, images=CURVE_IMAGES)
    size = len(shipped.to_bytes())
    if size > MAX_BYTES:
        raise SystemExit(
            f"{size} bytes; a shipped checkpoint has at most {MAX_BYTES}: make the generator smaller"
        )
    path = arguments.folder / f"{arguments.name}.gtn"
    shipped.save(path)
    print(f"{path.name}: {size:,} bytes, id {shipped.id}, {time.process_time():.0f} processor seconds")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", help="of the file")
    parser.add_argument("--dataset", default="digits", help="digits, mnist:PATH, cifar10@16:PATH, ...")
    parser.add_argument(
        "--config", default="{}", help="a TOML file, or JSON; fields that are missing by default"
    )
    parser.add_argument("--learner-space", help="search space of every second learner")
    parser.add_argument("--state", type=Path, help="file of the resumable state")
    parser.add_argument("--seed", type=int, default=0, help="of the meta-training")
    parser.add_argument(
        "--folder", type=Path, default=Path(gtn_core.presets.__file__).parent, help="by default the package's"
    )
    return parser.parse_args()


def learners(config: MetaTrainingConfig, space: str | None) -> LearnerSampler:
    convnets = ConvNetSampler(config)
    return MixedLearnerSampler(convnets, get_search_space(space, **CELLS), 0.5) if space else convnets


def report(step: MetaStepReport) -> None:
    if step.step % 10 == 0:
        validated = step.validation_accuracy
        accuracy = "" if validated is None else f", validation {validated:.1%}"
        done, seconds = f"meta step {step.step}/{step.total}", time.process_time()
        print(f"{done}, {seconds:.0f} s, {step.accuracy:.1%}{accuracy}", flush=True)


if __name__ == "__main__":
    main()
