"""How the engines scale: simulated candidates on 1 to 64 slots, and 10,000 of them in one search.

    python benchmarks/bench_scaling.py                                       # 25 minutes on two cores
    python benchmarks/bench_scaling.py --slots 1 8 --seconds 0.5 2 --candidates 2000    # 4 minutes

Simulated candidates sleep, so that slots need memory and no cores. Their times vary by a fifth, so that they
do not finish all at once.

Efficiency is the time that candidates asked for, divided by the time from the result before of the same slot
to theirs: measured from the moment when every slot has given a result, until each has given `--rounds` more
on average. The start of the workers is reported apart: it is paid once per search, and here they all start on
the same cores.

The long search has candidates of no time at all, so that everything which is measured is overhead. It tells
what a candidate costs the process that runs the search (its CPU time, the most candidates per second that
follow from it, its memory), by thousands of candidates, for both engines and for the search's bookkeeping
alone. The difference between an engine and the bookkeeping is the engine's own share.

Slots that would leave less than `--leave-gib` of memory free are left out, and the result says so.
"""

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import psutil
from conditions import conditions, summary, write_results
from simulation import (
    Arrivals,
    digits_data,
    local_ray,
    overheads,
    search_of,
    simulated_spec,
    use_of_slots,
)

from nas import EstimatorData, SerialEngine
from nas.actor_engine import ActorEngine
from nas.candidates import CandidateResult
from nas.search import Engine
from nas.tune_engine import TuneEngine

ENGINES: dict[str, type[Any]] = {"tune": TuneEngine, "actors": ActorEngine}
SPREAD = 0.2
GIB = 2**30
CHUNKS = 10
LEAST_CANDIDATES = 100  # of the long search: the clock of CPU time does not tell what fewer cost


def main() -> None:
    options = _options()
    results: dict[str, Any] = {"benchmark": "scaling", **conditions(), "seeds": [0]}
    results["setting"] = {
        "rounds": options.rounds,
        "spread": SPREAD,
        "candidates": options.candidates,
        "long_slots": options.long_slots,
        "machine": "shared" if options.shared else "quiet",
    }
    data = digits_data()
    engines = {name: ENGINES[name] for name in options.engines}
    with local_ray():
        results["efficiency"] = [
            _efficiency(name, make(), slots, seconds, options, data)
            for slots in options.slots
            for seconds in options.seconds
            for name, make in engines.items()
        ]
    if options.candidates:
        results["long_search"] = {
            name: _in_a_fresh_process(_long_search, name, make, options, data)
            for name, make in {"bookkeeping": SerialEngine, **engines}.items()
        }
    results["load_after"] = round(os.getloadavg()[0], 2)
    print(write_results(options.output, results))


@dataclass
class Steady(Arrivals):
    """Watches until every slot is at work, and stops after so many results more."""

    slots_expected: int = 1
    more: int = 1
    first: int | None = None  # results when every slot had given one

    def on_result(self, result: CandidateResult) -> None:
        super().on_result(result)
        self.first = self.first or self.all_at_work(self.slots_expected)

    def should_stop(self) -> bool:
        return self.first is not None and len(self.times) >= self.first + self.more


def _efficiency(
    name: str, engine: Engine, slots: int, seconds: float, options: argparse.Namespace, data: EstimatorData
) -> dict[str, Any]:
    case: dict[str, Any] = {"engine": name, "slots": slots, "seconds": seconds}
    if (refusal := _no_memory_for(slots, engine, options, data)) is not None:
        print(f"{name:7} {slots:3} slots  {seconds:4g} s  left out: {refusal}", flush=True)
        return case | {"left_out": refusal}
    spec = simulated_spec(0, 10**6, slots=slots, sleep_seconds=seconds, spread=SPREAD)
    watch = Steady(slots_expected=slots, more=options.rounds * slots)
    process, before = psutil.Process(), psutil.Process().cpu_times()
    free = psutil.virtual_memory().available
    engine.run(search_of(spec), data, watch)
    after = process.cpu_times()
    turns = watch.turns(slots)
    assert watch.first is not None
    case |= {
        "efficiency": use_of_slots(turns),
        "overhead_seconds": summary(overheads(turns)),
        "candidates_per_second": slots * len(turns) / sum(taken for _, taken in turns),
        "all_slots_after_seconds": watch.times[watch.first - 1] - watch.started,
        "runner_cpu_ms_per_candidate": 1e3
        * (after.user + after.system - before.user - before.system)
        / len(watch.times),
        "load": round(os.getloadavg()[0], 2),
        "memory_taken_gib": round((free - psutil.virtual_memory().available) / GIB, 2),
    }
    print(
        f"{name:7} {slots:3} slots  {seconds:4g} s  efficiency {case['efficiency']:.3f}  "
        f"{case['candidates_per_second']:.1f}/s  all slots after {case['all_slots_after_seconds']:.0f} s  "
        f"load {case['load']}",
        flush=True,
    )
    return case


def _no_memory_for(
    slots: int, engine: Engine, options: argparse.Namespace, data: EstimatorData
) -> str | None:
    """Why so many slots are too many for this machine's memory, by what one takes."""
    name = type(engine).__name__
    if name not in _worker_bytes:
        _worker_bytes[name] = _bytes_of_one_worker(engine, data)
    free = psutil.virtual_memory().available - options.leave_gib * GIB
    if slots > 1 and slots * _worker_bytes[name] > free:
        needed, there = slots * _worker_bytes[name] / GIB, free / GIB
        return f"{needed:.1f} GiB for {slots} workers, {there:.1f} GiB may be taken"
    return None


_worker_bytes: dict[str, int] = {}


def _bytes_of_one_worker(engine: Engine, data: EstimatorData) -> int:
    """Memory that is its own, as it answers its first candidate."""

    class Weigh(Arrivals):
        weight = 0

        def on_result(self, result: CandidateResult) -> None:
            super().on_result(result)
            assert result.score is not None
            self.weight = psutil.Process(int(result.score.extra["slot"])).memory_full_info().uss

    engine.run(search_of(simulated_spec(0, 1, slots=1, sleep_seconds=0.0)), data, weigh := Weigh())
    print(f"one worker of {type(engine).__name__} has {weigh.weight / 2**20:.0f} MiB", flush=True)
    return weigh.weight


def _in_a_fresh_process(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Memory that another measurement has freed would hide what this one takes."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(function, *arguments).result()


def _long_search(
    name: str, make_engine: Callable[[], Engine], options: argparse.Namespace, data: EstimatorData
) -> dict[str, Any]:
    """What each tenth of the search cost."""
    spec = simulated_spec(0, options.candidates, slots=options.long_slots, sleep_seconds=0.0)
    with local_ray():
        costs = Costs(every=max(1, options.candidates // CHUNKS))
        make_engine().run(search_of(spec), data, costs)
    parts = costs.parts()
    early, late = parts[1 : CHUNKS // 2], parts[-(CHUNKS // 2 - 1) :]  # the first contains the start
    report = {
        "parts": parts,
        "n": len(costs.times),
        "cpu_ms_early": _mean(early, "cpu_ms"),
        "cpu_ms_late": _mean(late, "cpu_ms"),
        "kib_per_candidate": _mean(parts[1:], "kib"),
        "most_candidates_per_second": 1e3 / _mean(parts[1:], "cpu_ms"),
    }
    print(
        f"{name:11} {report['n']} candidates  {report['cpu_ms_early']:.2f} ms CPU each early, "
        f"{report['cpu_ms_late']:.2f} ms late  {report['kib_per_candidate']:.1f} KiB kept of each  "
        f"at most {report['most_candidates_per_second']:.0f}/s",
        flush=True,
    )
    return report


@dataclass
class Costs(Arrivals):
    """Notes what this process has used, every so many candidates."""

    every: int = 1
    marks: list[tuple[float, float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._process = psutil.Process()
        self._mark()

    def on_result(self, result: CandidateResult) -> None:
        super().on_result(result)
        if len(self.times) % self.every == 0:
            self._mark()

    def parts(self) -> list[dict[str, float]]:
        """Per candidate: wall-clock and CPU milliseconds, and KiB by which the process grew."""
        return [
            {
                "wall_ms": 1e3 * (after[0] - before[0]) / self.every,
                "cpu_ms": 1e3 * (after[1] - before[1]) / self.every,
                "kib": (after[2] - before[2]) / 1024 / self.every,
            }
            for before, after in zip(self.marks, self.marks[1:], strict=False)
        ]

    def _mark(self) -> None:
        cpu = self._process.cpu_times()
        self.marks.append((time.perf_counter(), cpu.user + cpu.system, self._process.memory_info().rss))


def _mean(parts: list[dict[str, float]], name: str) -> float:
    return sum(part[name] for part in parts) / len(parts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slots", type=int, nargs="*", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.5, 2.0, 10.0], help="of a candidate")
    parser.add_argument("--rounds", type=int, default=4, help="candidates measured per slot; at least 2")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument(
        "--candidates",
        type=int,
        default=10_000,
        help=f"of the long search, at least {LEAST_CANDIDATES}; 0: none",
    )
    parser.add_argument("--long-slots", type=int, default=2, help="of the long search")
    parser.add_argument("--leave-gib", type=float, default=10.0, help="memory that must stay free")
    parser.add_argument("--shared", action="store_true", help="note that the machine has other work, too")
    parser.add_argument("--output", default="bench_scaling", help="name of the file of results")
    options = parser.parse_args()
    if 0 < options.candidates < LEAST_CANDIDATES:
        parser.error(f"--candidates {options.candidates} are too few: take {LEAST_CANDIDATES} or 0 for none")
    if options.rounds < 2:
        parser.error(f"--rounds {options.rounds} has no spread of one slot: take at least 2")
    return options


if __name__ == "__main__":
    main()
