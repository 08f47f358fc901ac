"""Search algorithms on NAS-Bench-201: best true accuracy against the number of evaluations.

    python benchmarks/bench_search.py --table cifar10_200epochs.csv --seeds 50 --evaluations 300

The reward is the table's mean CIFAR-10 test accuracy after 200 epochs, so nothing but the algorithm is
measured. Isomorphic cells (equal canonical hash) are one architecture with the mean of their accuracies. A
cell of which the table knows no isomorphic one is told as failed and is no evaluation; one that was evaluated
is refused. `local_search` has its number of evaluations to the optimum measured, too, as published.

Algorithms that stop candidates early are left out: the table has one fidelity.
"""

import argparse
import csv
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from conditions import conditions, write_results

from nas.algorithms import ALGORITHMS, get_algorithm
from nas.search_spaces import get_search_space
from nas.search_spaces.base import SearchSpace

ANCHORS = {
    "source": "published, noise-free reward, the whole space of 15,625 strings",
    "random_search, best of 100": 93.85,
    "evolution, best of 100": 94.28,
    "evolution, best of 300": 94.37,
    "local_search, mean evaluations to the optimum": 87,
    "optimum": 94.37,
}
CHECKPOINTS = (10, 20, 50, 100, 150, 200, 300, 500)
SLOW = ("tpe", "nsga2", "predictor_evolution")
MAX_ASKS = 300
"""Asks for one evaluation before a random architecture takes its place."""


def main() -> None:
    options = _options()
    space = get_search_space("nasbench201")
    table = Table(space, options.table)
    results: dict[str, Any] = {"benchmark": "search", **conditions()}
    results |= {"anchors": ANCHORS, "table": table.report(), "seeds": options.seeds, "algorithms": {}}
    print(
        f"{'algorithm':24}" + "".join(f"{count:>8}" for count in _counts(options)) + "   to optimum  s/search"
    )
    for name in options.algorithms:
        start = time.process_time()
        evaluations = options.slow_evaluations if name in SLOW else options.evaluations
        runs = [list(search(name, space, table, seed, evaluations)) for seed in range(options.seeds)]
        seconds = (time.process_time() - start) / options.seeds
        results["algorithms"][name] = measured = report(runs, table, _counts(options), seconds)
        measured["evaluations"] = evaluations
        measured["config"] = get_algorithm(name, space).config.model_dump(mode="json")
        best = measured["best_after"]
        cells = "".join(
            f"{best[str(count)]['mean']:8.2f}" if str(count) in best else " " * 8
            for count in _counts(options)
        )
        reached = measured["evaluations_to_optimum"]
        print(
            f"{name:24}{cells}   {reached['reached']:3}/{len(runs)} {reached['mean'] or 0:5.0f}"
            f"  {seconds:6.2f}"
        )
    print(write_results("bench_search", results))


class Table:
    """True accuracies by canonical hash, percent."""

    def __init__(self, space: SearchSpace, path: Path) -> None:
        self._space, self._rows = space, 0
        accuracies: dict[str, list[float]] = {}
        with path.open() as file:
            for row in csv.DictReader(file):
                self._rows += 1
                key = space.canonical_hash(space.parse(row["architecture"]))
                accuracies.setdefault(key, []).append(float(row["cifar10_test_accuracy_percent"]))
        self.accuracies = {key: statistics.fmean(values) for key, values in accuracies.items()}
        self.optimum = max(self.accuracies.values())

    def report(self) -> dict[str, Any]:
        return {"strings": self._rows, "architectures": len(self.accuracies), "optimum": self.optimum}


def search(name: str, space: SearchSpace, table: Table, seed: int, evaluations: int) -> Iterator[float]:
    """The accuracy of each evaluation, in order."""
    algorithm, seen = get_algorithm(name, space), set()
    for number in range(evaluations):
        rng = np.random.default_rng([seed, number])
        for asks in range(10**9):
            architecture = algorithm.ask(rng) if asks < MAX_ASKS else space.sample(rng)
            key = space.canonical_hash(architecture)
            if key in seen:
                continue
            seen.add(key)
            if key in table.accuracies:
                break
            algorithm.tell(architecture, None)
        algorithm.tell(architecture, (table.accuracies[key] / 100,))
        yield table.accuracies[key]


def report(runs: list[list[float]], table: Table, counts: list[int], seconds: float) -> dict[str, Any]:
    to_optimum = [run.index(table.optimum) + 1 for run in runs if table.optimum in run]
    return {
        "best_after": {
            str(count): _spread([max(run[:count]) for run in runs])
            for count in counts
            if count <= len(runs[0])
        },
        "evaluations_to_optimum": {
            "reached": len(to_optimum),
            "of": len(runs),
            "mean": statistics.fmean(to_optimum) if to_optimum else None,
        },
        "seconds_per_search": seconds,
    }


def _spread(values: list[float]) -> dict[str, float]:
    low, high = np.quantile(values, [0.05, 0.95])
    return {"mean": statistics.fmean(values), "p5": float(low), "p95": float(high), "n": len(values)}


def _counts(options: argparse.Namespace) -> list[int]:
    return [count for count in CHECKPOINTS if count <= options.evaluations]


def _options() -> argparse.Namespace:
    names = [
        name for name in ALGORITHMS.names() if not getattr(ALGORITHMS.get(name), "multi_fidelity", False)
    ]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, required=True, help="CSV: architecture, accuracy in percent")
    parser.add_argument("--seeds", type=int, default=50, help="searches of each algorithm")
    parser.add_argument("--evaluations", type=int, default=300, help="of each search")
    parser.add_argument(
        "--slow-evaluations", type=int, default=150, help="of those whose proposals take time"
    )
    parser.add_argument("--algorithms", nargs="+", default=names, choices=names)
    return parser.parse_args()


if __name__ == "__main__":
    main()
