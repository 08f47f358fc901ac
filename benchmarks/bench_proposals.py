"""What it costs to choose the next candidate, by algorithm and by how many are known; and to resume a search.

    python benchmarks/bench_proposals.py

No candidate is trained: rewards are drawn from the architectures' hashes. The space is nasnet_micro. The
candidates that are known were drawn at random, and are told to the algorithm as they are when a search is
resumed. One proposal is made before those that are timed. The baseline is random search, in the same run.
"""

import argparse
import time
from collections.abc import Iterator
from statistics import fmean
from typing import Any

from conditions import conditions, summary, write_results
from rich.console import Console
from rich.table import Table

from nas import CandidateResult, CandidateScore, Proposal, Search, SearchSpec
from nas.algorithms import ALGORITHMS

SPACE, IMAGE_SHAPE, CLASSES = "nasnet_micro", (3, 32, 32), 10
BASELINE = "random_search"


def main() -> None:
    options = parse_arguments()
    sizes = [int(size) for size in options.known.split(",")]
    results: dict[str, Any] = {"benchmark": "proposals", **conditions(), "space": SPACE}
    results |= {"seeds": options.seeds, "proposals": options.proposals, "milliseconds": {}, "resume": {}}
    histories = [list(random_history(max(sizes), seed)) for seed in range(options.seeds)]
    for algorithm in sorted(ALGORITHMS.names(), key=lambda name: name != BASELINE):
        for size in sizes:
            taken = [
                measure(algorithm, history[:size], seed, options.proposals)
                for seed, history in enumerate(histories)
            ]
            label = f"{algorithm}, {size} known"
            results["milliseconds"][label] = summary([1e3 * each for _, times in taken for each in times])
            results["resume"][label] = {"seconds": [round(resumed, 3) for resumed, _ in taken]}
    print_table(results)
    print(write_results("bench_proposals", results))


def random_history(size: int, seed: int) -> Iterator[CandidateResult]:
    search = make_search(BASELINE, seed, [])
    for _ in range(size):
        proposal = search.propose()
        assert proposal is not None
        search.complete(result := scored(proposal))
        yield result


def measure(
    algorithm: str, history: list[CandidateResult], seed: int, proposals: int
) -> tuple[float, list[float]]:
    """Seconds to resume the search, and of each proposal after the first."""
    started = time.perf_counter()
    search = make_search(algorithm, seed, history)
    resumed, times = time.perf_counter() - started, []
    for _ in range(proposals + 1):
        started = time.perf_counter()
        proposal = search.propose()
        times.append(time.perf_counter() - started)
        assert proposal is not None
        search.complete(scored(proposal))
    return resumed, times[1:]


def make_search(algorithm: str, seed: int, history: list[CandidateResult]) -> Search:
    body = {"search_space": {"name": SPACE}, "algorithm": {"name": algorithm}, "max_candidates": 10**6}
    return Search(SearchSpec.model_validate(body | {"seed": seed}), IMAGE_SHAPE, CLASSES, history)


def scored(proposal: Proposal) -> CandidateResult:
    chance = int(proposal.canonical_hash[:8], 16)
    score = CandidateScore(
        accuracy=(chance % 9973) / 10_000,
        loss=1.0,
        loss_curve=(1.0,),
        params=1,
        flops=1,
        seconds=1.0,
        extra={},
    )
    return CandidateResult(proposal, score)


def print_table(results: dict[str, Any]) -> None:
    console = Console(width=110, highlight=False)
    for part in ("hardware", "versions", "commit", "space", "seeds"):
        console.print(f"{part}: {results[part]}")
    table = Table("milliseconds of a proposal", "n", "mean", "median", "p95", "sd", "resumed in, s")
    for label, row in results["milliseconds"].items():
        values = (f"{row[key]:.2f}" for key in ("mean", "median", "p95", "standard_deviation"))
        table.add_row(label, str(row["n"]), *values, f"{fmean(results['resume'][label]['seconds']):.2f}")
    console.print(table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--known", default="100,1000,10000", help="how many candidates have ended")
    parser.add_argument("--proposals", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
