"""Rank agreement of every estimator and readout with NAS-Bench-201's CIFAR-10 accuracies after 200 epochs.

    python benchmarks/bench_fidelity.py measure --dataset cifar10@16:PATH --table CSV --record FILE.jsonl \
        --checkpoint FILE.gtn
    python benchmarks/bench_fidelity.py report --table CSV --record FILE.jsonl
    python benchmarks/bench_fidelity.py compare --table CSV --record FILE.jsonl \
        --synthetic FILE.jsonl --synthetic OTHER.jsonl

`measure` appends each evaluation to the record and can be stopped at any time: the next run goes on. `report`
reads it; `results/bench_fidelity_record.jsonl` is that of the report there. `compare` reads what was measured
on data of several checkpoints, each from a record of its own, against the real data of the first:
`ship_checkpoint.py --seed 1 --folder .` makes one of another seed.

Random networks of the table, each once however it is written, are dealt into three groups that share none:
200 that are reported, 60 on which readouts are chosen, 50 whose accuracies are the labels of `calibrated`.
The networks have 8 channels and 1 cell a stage and see 16x16 images, except for `zero_cost_full`, whose
proxies look at the benchmark's own 16 channels and 5 cells. Proxies are measured on all groups, brief
trainings on a prefix of the first two.
"""

import argparse
from itertools import chain
from pathlib import Path

import torch
from fidelity_analysis import compare, report
from fidelity_measurements import Record, load_setting, measure

from nas import get_search_space
from nas.true_accuracies import TrueAccuracy, draw_candidates, read_true_accuracies

REPORTED, SELECTION, LABELS = 200, 60, 50


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(1)
    space = get_search_space("nasbench201", channels=8, cells_per_stage=1)
    table = read_true_accuracies(options.table, space)
    total = REPORTED + SELECTION + LABELS
    drawn = draw_candidates(table, space, number=total, population="unique", seed=options.seed)
    groups = {
        "reported": drawn[:REPORTED],
        "selection": drawn[REPORTED : REPORTED + SELECTION],
        "labels": drawn[REPORTED + SELECTION :],
    }
    record = Record(options.record)
    if options.action == "measure":
        setting = load_setting(options.dataset, options.checkpoint, options.steps, options.batch_size)
        trainings = training_order(groups)[: options.trainings]
        measure(setting, {"proxies": drawn, "trainings": trainings}, record, options.only)
    elif options.action == "compare":
        checkpoints = {path.stem: Record(path) for path in options.synthetic}
        compare(space, groups, record, checkpoints, seed=options.seed)
    else:
        report(space, groups, record, seed=options.seed)


def training_order(groups: dict[str, list[TrueAccuracy]]) -> list[TrueAccuracy]:
    """Two reported architectures, then one of the selection, as long as both last."""
    reported, selection = groups["reported"], groups["selection"]
    turns = zip(reported[0::2], reported[1::2], selection, strict=False)
    return [*chain.from_iterable(turns), *reported[2 * len(selection) :]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["measure", "report", "compare"])
    parser.add_argument("--dataset", default="cifar10@16:data", help="as `gtn-nas train-gtn` takes it")
    parser.add_argument("--table", type=Path, required=True, help="CSV of encodings and accuracies")
    parser.add_argument("--record", type=Path, required=True, help="where evaluations are kept")
    parser.add_argument(
        "--checkpoint", type=Path, help="frozen GTN of that data set; none: no GTN estimators"
    )
    parser.add_argument(
        "--synthetic", type=Path, action="append", default=[], help="a checkpoint's record; repeat it"
    )
    parser.add_argument("--only", action="append", help="measure these estimators alone; repeat it")
    parser.add_argument("--trainings", type=int, default=260, help="architectures that are trained briefly")
    parser.add_argument("--steps", type=int, default=32, help="inner steps, where there is no checkpoint")
    parser.add_argument("--batch-size", type=int, default=64, help="likewise")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
