"""Search algorithms on NAS-Bench-201: what they find, by reward, against evaluations and seconds.

    python benchmarks/bench_search.py search --table cifar10_200epochs.csv --seeds 50 --evaluations 300
    python benchmarks/bench_search.py measure --table cifar10_200epochs.csv --dataset cifar10@16:PATH \\
        --checkpoint FILE.gtn --record FILE.jsonl
    python benchmarks/bench_search.py search --table cifar10_200epochs.csv --record FILE.jsonl

The reward is the table's mean CIFAR-10 test accuracy after 200 epochs, so that nothing but the algorithm is
measured, and, with a record of `measure`, the scores of estimators: then the search sees what a user's sees,
and is judged by the true accuracy of what it ranks first, and of the best of its first five. An architecture
has one score of each estimator (seed 0), so that the spread is that of searches and not of scores.
Networks are measured in random order, and searched are those that all records have.
`measure` goes on where it was stopped and can be given `--only` an estimator, to run several beside another.

Isomorphic cells (equal canonical hash) are one architecture with the mean of their accuracies. A cell of
which the table knows no isomorphic one is told as failed and is no evaluation; one that was evaluated is
refused. Algorithms that stop candidates early are left out: the table has one fidelity.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conditions import conditions, write_results
from fidelity_measurements import Record, load_setting, measure
from search_rewards import Reward, Table, rewards

from nas.algorithms import ALGORITHMS, get_algorithm
from nas.search_spaces import get_search_space
from nas.search_spaces.base import SearchSpace
from nas.true_accuracies import read_true_accuracies

ANCHORS = {
    "source": "published, noise-free reward, the whole space of 15,625 strings",
    "points": {
        "random search, published": (100, 93.85),
        "evolution, published": (100, 94.28),
        "evolution at 300, published": (300, 94.37),
        "local search finds the optimum, published": (87, 94.37),
    },
}
ESTIMATORS = ("zero_cost", "real_data_x1", "gtn", "gtn_4_passes")
FIRST = 5
"""How many of those ranked first are trained in full, as the service's final training does."""
CHECKPOINTS = (10, 20, 50, 100, 150, 200, 300, 500)
SLOW = ("tpe", "nsga2", "predictor_evolution")
MAX_ASKS = 300
"""Asks for one evaluation before a random architecture takes its place."""


def main() -> None:
    options = _options()
    space = get_search_space("nasbench201", channels=8, cells_per_stage=1)
    table = Table(space, read_true_accuracies(options.table, space))
    records = [Record(path) for path in options.record]
    if options.action == "measure":
        torch.set_num_threads(1)
        setting = load_setting(options.dataset, options.checkpoint, steps=32, batch_size=64)
        entries = {"proxies": table.networks, "trainings": table.networks}
        measure(setting, entries, records[0], options.only or ESTIMATORS)
    else:
        compare(space, table, records, options)


def compare(space: SearchSpace, table: Table, records: Sequence[Record], options: argparse.Namespace) -> None:
    """Print and write what every algorithm finds by every reward."""
    results: dict[str, Any] = {"benchmark": "search", **conditions(), "anchors": ANCHORS}
    results |= {"table": table.report(), "seeds": options.seeds, "rewards": {}}
    counts = [count for count in CHECKPOINTS if count <= options.evaluations]
    for reward in rewards(space, table, records):
        results["rewards"][reward.name] = measured = reward.report(table) | {"algorithms": {}}
        print(f"\nreward: {reward.name}, rho {measured['spearman']:.3f}")
        print(f"{'algorithm':24}" + "".join(f"{count:>8}" for count in counts) + "   to optimum  s/search")
        for name in options.algorithms:
            evaluations = options.slow_evaluations if name in SLOW else options.evaluations
            start = time.process_time()
            runs = [list(search(name, space, reward, seed, evaluations)) for seed in range(options.seeds)]
            seconds = (time.process_time() - start) / options.seeds
            measured["algorithms"][name] = found = {
                "evaluations": evaluations,
                "config": get_algorithm(name, space).config.model_dump(mode="json"),
                **report(runs, reward, table, [count for count in counts if count <= evaluations]),
                "proposal_seconds": seconds / evaluations,
            }
            _print_line(name, found, seconds, counts)
    path = write_results("bench_search", results)
    draw(results, path.with_suffix(".svg"))
    print(path)


def draw(results: dict[str, Any], path: Path) -> None:
    """The picture, where matplotlib is installed."""
    try:
        from search_plot import plot
    except ModuleNotFoundError:
        print('no picture: it needs matplotlib, pip install -e ".[benchmarks]"')
    else:
        plot(results, path)


def search(name: str, space: SearchSpace, reward: Reward, seed: int, evaluations: int) -> Iterator[str]:
    """The canonical hash of each evaluation, in order."""
    algorithm, seen = get_algorithm(name, space), set()
    for number in range(evaluations):
        rng = np.random.default_rng([seed, number])
        for asks in range(10**9):
            architecture = algorithm.ask(rng) if asks < MAX_ASKS else space.sample(rng)
            key = space.canonical_hash(architecture)
            if key in seen:
                continue
            seen.add(key)
            if key in reward.values:
                break
            algorithm.tell(architecture, None)
        algorithm.tell(architecture, (reward.values[key],))
        yield key


def report(runs: list[list[str]], reward: Reward, table: Table, counts: Sequence[int]) -> dict[str, Any]:
    """What the searches rank first after so many evaluations, by true accuracy."""
    best = max(table.accuracies, key=table.accuracies.__getitem__)
    to_optimum = [run.index(best) + 1 for run in runs if best in run]
    return {
        "ranked_first": {str(count): _spread(_found(runs, reward, table, count, 1)) for count in counts},
        f"best_of_{FIRST}": {
            str(count): _spread(_found(runs, reward, table, count, FIRST)) for count in counts
        },
        "evaluations_to_optimum": {
            "reached": len(to_optimum),
            "of": len(runs),
            "mean": statistics.fmean(to_optimum) if to_optimum else None,
        },
    }


def _found(runs: list[list[str]], reward: Reward, table: Table, count: int, first: int) -> list[float]:
    ranked = [sorted(run[:count], key=reward.values.__getitem__, reverse=True) for run in runs]
    return [max(table.accuracies[key] for key in run[:first]) for run in ranked]


def _print_line(name: str, found: dict[str, Any], seconds: float, counts: Sequence[int]) -> None:
    cells = "".join(
        f"{found['ranked_first'][str(count)]['mean']:8.2f}"
        if str(count) in found["ranked_first"]
        else " " * 8
        for count in counts
    )
    reached = found["evaluations_to_optimum"]
    print(
        f"{name:24}{cells}   {reached['reached']:3}/{reached['of']} {reached['mean'] or 0:5.0f}"
        f"  {seconds:6.2f}",
        flush=True,
    )


def _spread(values: list[float]) -> dict[str, float]:
    low, high = np.quantile(values, [0.05, 0.95])
    return {"mean": statistics.fmean(values), "p5": float(low), "p95": float(high), "n": len(values)}


def _options() -> argparse.Namespace:
    names = [
        name for name in ALGORITHMS.names() if not getattr(ALGORITHMS.get(name), "multi_fidelity", False)
    ]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["measure", "search"])
    parser.add_argument("--table", type=Path, required=True, help="CSV: architecture, accuracy in percent")
    parser.add_argument("--seeds", type=int, default=50, help="searches of each algorithm")
    parser.add_argument("--evaluations", type=int, default=300, help="of each search")
    parser.add_argument(
        "--slow-evaluations", type=int, default=150, help="of those whose proposals take time"
    )
    parser.add_argument(
        "--record", type=Path, nargs="+", default=[], help="scores of estimators; measure appends to one"
    )
    parser.add_argument("--dataset", default="cifar10@16:data", help="of measure")
    parser.add_argument("--checkpoint", type=Path, help="of measure: frozen GTN of that data set")
    parser.add_argument("--only", nargs="+", choices=ESTIMATORS, help="of measure; all by default")
    parser.add_argument("--algorithms", nargs="+", default=names, choices=names)
    options = parser.parse_args()
    if options.action == "measure" and len(options.record) != 1:
        parser.error("measure needs one --record FILE.jsonl")
    return options


if __name__ == "__main__":
    main()
