"""Does teaching for ranking raise the fidelity of what it teaches, on architectures it has not seen?

    python benchmarks/bench_teaching_for_ranking.py --dataset cifar10@16:PATH --table CSV --record FILE.jsonl

The same small meta-training in several ways, on the same seeds, with equally many learners in a meta step,
all of them NAS-Bench-201 cells: `plain` (their outer losses alone), `trajectory` (the same learners, whose
last weights are also drawn to those that real batches lead to), `pairwise` and `soft_rank` (one outer loss,
and a group compared with the table's accuracies by that ranking loss), `pairwise_trajectory` (both).
Trajectories need no table. The CPU seconds of each are reported. The table's cells are dealt into a
calibration set, whose accuracies are the reference, and held-out cells, on which Spearman's rho is measured.
The number judged by is the validation loss after the curriculum, which is what the ranking loss trains; other
readouts are reported beside it. `real` trains the held-out cells on as many real batches, and `params` counts
their parameters. Each score is kept in the record; a run that is stopped goes on there.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conditions import conditions, write_results
from fidelity_measurements import Record
from torch import nn

from gtn_core import DatasetSplits, MetaTrainingConfig, RankingReference, load_dataset, meta_train
from gtn_core.learners import ImageShape
from nas import estimator_data, get_search_space, make_estimator
from nas.agreement import agreement
from nas.estimators import Estimator
from nas.estimators.readouts import gain, readout_values
from nas.ranking import spearman
from nas.search_spaces.base import SearchSpace
from nas.true_accuracies import TrueAccuracy, draw_candidates, read_true_accuracies

CALIBRATION, HELD_OUT = 40, 80
GROUP = 4
PRIMARY = "validation_loss"
READOUTS = (PRIMARY, "accuracy", "sum_training_loss", "sum_training_loss_late")
VALIDATION_IMAGES = 1000
RESAMPLES = 1000

BASE: dict[str, Any] = {
    "inner_steps": 8,
    "batch_size": 32,
    "outer_batch_size": 128,
    "outer_loss_every": 4,
    "initial_learning_rate": 0.1,
    "validate_every": 0,
}
MATCHED: dict[str, Any] = {"trajectory_weight": 1.0, "trajectory_steps": 16}
ARMS: dict[str, dict[str, Any]] = {
    "plain": {"learners_per_meta_step": 1 + GROUP},
    "pairwise": {"ranking_weight": 1.0, "ranking_learners": GROUP, "ranking_loss": "pairwise"},
    "soft_rank": {"ranking_weight": 1.0, "ranking_learners": GROUP, "ranking_loss": "soft_rank"},
    "trajectory": {"learners_per_meta_step": 1 + GROUP, **MATCHED},
    "pairwise_trajectory": {
        "ranking_weight": 1.0,
        "ranking_learners": GROUP,
        "ranking_loss": "pairwise",
        **MATCHED,
    },
}


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(1)
    space = get_search_space("nasbench201", channels=options.channels, cells_per_stage=1)
    table = read_true_accuracies(options.table, space)
    drawn = draw_candidates(table, space, number=CALIBRATION + HELD_OUT, population="unique", seed=0)
    calibration, held_out = drawn[:CALIBRATION], drawn[CALIBRATION:]
    splits = load_dataset(options.dataset, seed=0)
    record = Record(options.record)
    for seed in range(options.seeds):
        for arm in options.arms:
            measure(f"{arm} {seed}", arm, seed, splits, space, calibration, held_out, record, options)
    report(record, held_out, options)


def measure(
    label: str,
    arm: str,
    seed: int,
    splits: DatasetSplits,
    space: SearchSpace,
    calibration: list[TrueAccuracy],
    held_out: list[TrueAccuracy],
    record: Record,
    options: argparse.Namespace,
) -> None:
    """Meta-train one arm on one seed, and score the held-out cells; what the record has is not done again."""
    if all((f"{label} gtn", entry.architecture.encoding) in record.rows for entry in held_out):
        return
    config = MetaTrainingConfig.model_validate(BASE | ARMS[arm] | {"meta_steps": options.meta_steps})
    cpu_started, losses = time.process_time(), []
    checkpoint = meta_train(
        splits,
        config,
        seed=seed,
        learner_sampler=Cells(space),
        ranking_reference=table_reference(space, calibration) if config.ranking_weight else None,
        on_step=lambda step: losses.append(
            (step.loss, step.accuracy, step.ranking_loss, step.trajectory_loss)
        ),
    )
    note = {"cpu_seconds": time.process_time() - cpu_started, "curve": losses[:: max(1, len(losses) // 20)]}
    record.add({"note": f"meta-training {label}", "value": note | dict(checkpoint.manifest.metrics)})
    data = estimator_data(checkpoint.synthesize(), splits)
    brief: dict[str, Any] = {
        "validation_limit": VALIDATION_IMAGES,
        "initialisations": options.initialisations,
    }
    score(f"{label} gtn", make_estimator("gtn", data, **brief), space, held_out, record, seed)
    if arm == "plain":
        score(
            f"real {seed} real",
            make_estimator("real_data", data, **brief, learning_rate=None),
            space,
            held_out,
            record,
            seed,
        )


def score(
    label: str,
    estimator: Estimator,
    space: SearchSpace,
    held_out: list[TrueAccuracy],
    record: Record,
    seed: int,
) -> None:
    for entry in held_out:
        result = estimator.estimate(space, entry.architecture, seed=seed)
        readouts = {name: gain(result, name) for name in readout_values(result)}
        record.add({"estimator": label, "architecture": entry.architecture.encoding, "readouts": readouts})


class Cells:
    """Learners of the outer losses: random cells of the space, whose accuracies nobody looks up."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    def __call__(self, *, image_shape: ImageShape, num_classes: int, seed: int) -> nn.Module:
        architecture = self.space.sample(np.random.default_rng(seed))
        return self.space.build(architecture, image_shape=image_shape, num_classes=num_classes, seed=seed)

    def __str__(self) -> str:
        return f"random cells of {self.space.name}"


def table_reference(space: SearchSpace, calibration: list[TrueAccuracy]) -> RankingReference:
    def build(index: int, **shape: Any) -> nn.Module:
        return space.build(calibration[index].architecture, **shape)

    scores = tuple(entry.accuracy for entry in calibration)
    return RankingReference("NAS-Bench-201, CIFAR-10 after 200 epochs", scores, build)


def report(record: Record, held_out: list[TrueAccuracy], options: argparse.Namespace) -> None:
    """Rho of every arm: of each seed, of the scores averaged over seeds, and what the ranking loss adds."""
    truth = np.array([entry.accuracy for entry in held_out])

    def scores(label: str, readout: str) -> np.ndarray:
        return np.array(
            [record.rows[label, entry.architecture.encoding]["readouts"][readout] for entry in held_out]
        )

    seeds = range(options.seeds)
    rows, averaged = [], {}
    for arm, suffix in [*((arm, "gtn") for arm in options.arms), ("real", "real")]:
        for readout in READOUTS:
            by_seed = [scores(f"{arm} {seed} {suffix}", readout) for seed in seeds]
            mean = np.mean(by_seed, axis=0)
            averaged[arm, readout] = mean
            rows.append(
                {
                    "arm": arm,
                    "readout": readout,
                    "spearman_by_seed": [spearman(each, truth) for each in by_seed],
                    "of_mean_score": agreement(mean, truth, seed=0, resamples=RESAMPLES).to_json(),
                    "mean_accuracy": float(
                        np.mean([scores(f"{arm} {seed} {suffix}", "accuracy") for seed in seeds])
                    ),
                }
            )
    params = scores(f"{options.arms[0]} 0 gtn", "params")
    counted = agreement(params, truth, seed=0, resamples=RESAMPLES).to_json()
    gains = [
        {"arm": arm, "readout": PRIMARY}
        | paired_gain(averaged[arm, PRIMARY], averaged["plain", PRIMARY], truth)
        for arm in options.arms
        if arm != "plain" and "plain" in options.arms
    ]
    for row in rows:
        rho = row["of_mean_score"]["spearman"]
        each = ", ".join(f"{value:+.2f}" for value in row["spearman_by_seed"])
        interval = f"[{rho['low']:+.2f}, {rho['high']:+.2f}]"
        print(
            f"{row['arm']:19} {row['readout']:24} rho {rho['value']:+.2f} {interval}"
            f"  by seed {each}  accuracy {row['mean_accuracy']:.1%}"
        )
    print("params", counted["spearman"])
    for row in gains:
        print("gain", row)
    dataset = options.dataset.split(":")[0]
    results = {
        "benchmark": "teaching_for_ranking",
        **conditions(),
        "setting": f"NAS-Bench-201 cells of {options.channels} channels, 1 a stage; {dataset}",
        "config": BASE | {"meta_steps": options.meta_steps},
        "arms": ARMS,
        "seeds": options.seeds,
        "groups": {"calibration": CALIBRATION, "held_out": HELD_OUT},
        "initialisations": options.initialisations,
        "primary_readout": PRIMARY,
        "rows": rows,
        "params": counted,
        "gain_over_plain": gains,
        "meta_trainings": {
            name.removeprefix("meta-training "): value
            for name, value in record.notes.items()
            if name.startswith("meta-training ")
        },
    }
    write_results("bench_teaching_for_ranking", results)


def paired_gain(taught: np.ndarray, plain: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Difference of the two rhos, with its bootstrap interval over the same resampled architectures."""
    rng = np.random.default_rng(0)
    chosen = [rng.integers(len(truth), size=len(truth)) for _ in range(RESAMPLES)]
    differences = [
        spearman(taught[index], truth[index]) - spearman(plain[index], truth[index]) for index in chosen
    ]
    low, high = np.quantile(differences, [0.025, 0.975])
    value = spearman(taught, truth) - spearman(plain, truth)
    return {"value": value, "low": float(low), "high": float(high)}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True, help="as `gtn-nas train-gtn` takes it")
    parser.add_argument("--table", type=Path, required=True, help="CSV of encodings and accuracies")
    parser.add_argument("--record", type=Path, required=True, help="where scores are kept")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=["plain", "pairwise"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--meta-steps", type=int, default=60)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--initialisations", type=int, default=2, help="that a score is a mean of")
    return parser.parse_args()


if __name__ == "__main__":
    main()
