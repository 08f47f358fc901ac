"""What the service costs: candidates per second, and the time that it adds to each.

    python benchmarks/bench_throughput.py                                   # 12 minutes on two cores
    python benchmarks/bench_throughput.py --candidates 30 --repeats 1       # 4 minutes

Every way gets the same searches, one after the other in the same run:

bare loop       one process that evaluates candidate after candidate; in a thread per slot
actor pool      `ray.util.ActorPool`, the candidates known beforehand, nothing recorded
tune engine     the search on Ray Tune, nothing recorded
actor engine    the search on plain actors, nothing recorded
service         from the search submitted over HTTP to each candidate's row in the database (SQLite), on Tune
service, actors the same on plain actors

Throughput: candidates that sleep (2 s, a fifth more or less, known by name) on `--slots` slots. From a slot's
result to its next one passes the candidate's own time and an overhead; the sum of the first, divided by the
sum of both, is how much of its slots a way uses.

Overhead: real candidates one at a time on one slot, so that the gap between two results, less the second
one's own seconds, is all there is. The start of the workers is reported apart: it is paid once per search.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import ray
import torch
from conditions import conditions, summary, write_results
from simulation import (
    BATCH_SIZE,
    INNER_STEPS,
    Arrivals,
    digits_data,
    local_ray,
    overheads,
    real_spec,
    search_of,
    simulated_spec,
    use_of_slots,
)

from nas import EstimatorData, SearchSpec
from nas.actor_engine import ActorEngine
from nas.candidates import Proposal
from nas.cluster.evaluator import Evaluator, Job, stored_job
from nas.evaluation import evaluation_plan
from nas.search import Engine
from nas.tune_engine import TuneEngine
from services.client import Client
from services.local_stack import LocalStack
from services.schemas import MetaTrainingView
from services.shutdown import Shutdown
from services.wiring import load_settings

SPREAD = 0.2


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    seeds = list(range(options.repeats))
    results: dict[str, Any] = {"benchmark": "throughput", **conditions(), "seeds": seeds}
    results["setting"] = {
        "simulated": f"{options.candidates} candidates of {options.seconds:g} s on {options.slots} slots",
        "real": f"{options.real_candidates} of digits, {INNER_STEPS} steps of {BATCH_SIZE} images, "
        "nasbench201 with 8 channels and 1 cell a stage, one at a time",
        "machine": "shared" if options.shared else "quiet",
    }
    data = digits_data()
    slots, seconds = options.slots, options.seconds

    def simulated(seed: int) -> SearchSpec:
        return simulated_spec(seed, options.candidates, slots=slots, sleep_seconds=seconds, spread=SPREAD)

    def real(seed: int) -> SearchSpec:
        return real_spec(seed, options.real_candidates, max_concurrent=1)

    ways = {name: WAYS[name] for name in options.ways}
    results["simulated"] = {
        name: _report([way(simulated(seed), data) for seed in seeds], slots) for name, way in ways.items()
    }
    for name, report in results["simulated"].items():
        if "bare loop" in results["simulated"]:
            report["of_bare_loop"] = (
                report["use_of_slots"] / results["simulated"]["bare loop"]["use_of_slots"]
            )
        print(f"{name:16} {_in_words(report)}", flush=True)
    results["real"] = {
        name: _report([way(real(seed), data) for seed in seeds], 1) for name, way in ways.items()
    }
    for name, report in results["real"].items():
        print(f"{name:16} {_in_words(report)}", flush=True)
    results["load_after"] = round(os.getloadavg()[0], 2)
    print(write_results(options.output, results))


def bare_loop(spec: SearchSpec, data: EstimatorData) -> Arrivals:
    """The same evaluations with nothing around them."""
    arrivals, proposals = Arrivals(), _proposals(spec)

    def evaluate_all(evaluator: Evaluator) -> None:
        while True:
            try:
                proposal = proposals.pop()  # which lists do in one step, whatever the thread
            except IndexError:
                return
            arrivals.on_result(evaluator.begin(proposal))

    slots = spec.max_concurrent or 1
    with ThreadPoolExecutor(slots) as threads:
        for loop in [threads.submit(evaluate_all, Evaluator(_job(spec, data))) for _ in range(slots)]:
            loop.result()
    return arrivals


def actor_pool(spec: SearchSpec, data: EstimatorData) -> Arrivals:
    """What Ray itself offers for such work."""
    with local_ray():
        actor: Any = ray.remote(num_cpus=spec.resources.cpus_per_candidate)(Evaluator)
        arrivals, search = Arrivals(), search_of(spec)
        with stored_job(search, data) as job:
            pool = ray.util.ActorPool([actor.remote(job) for _ in range(spec.max_concurrent or 1)])
            results = pool.map_unordered(
                lambda worker, proposal: worker.begin.remote(proposal), _proposals(spec)
            )
            for result in results:
                arrivals.on_result(result)
        return arrivals


def on(engine: Callable[[], Engine]) -> Callable[[SearchSpec, EstimatorData], Arrivals]:
    """The search itself, without a record."""

    def run(spec: SearchSpec, data: EstimatorData) -> Arrivals:
        with local_ray():
            arrivals = Arrivals()
            engine().run(search_of(spec), data, arrivals)
            return arrivals

    return run


def service_with(engine: str) -> Callable[[SearchSpec, EstimatorData], Arrivals]:
    """Controller, meta-worker and search runner as processes; a result arrives when its row is written."""

    def run(spec: SearchSpec, data: EstimatorData) -> Arrivals:  # noqa: ARG001 - its data are a checkpoint's
        with tempfile.TemporaryDirectory() as folder:
            settings = load_settings(data_dir=Path(folder), port=0, search_engine=engine)
            with LocalStack(settings) as stack, Client(stack.url) as client:
                stack.wait_until_ready(Shutdown())
                shape = {"inner_steps": INNER_STEPS, "batch_size": BATCH_SIZE, "meta_steps": 2}
                training = client.wait(client.create_meta_training({"name": "digits"}, shape).id)
                assert isinstance(training, MetaTrainingView)
                assert training.checkpoint_id, training.error
                body = spec.model_dump(mode="json")
                submitted = client.create_search(checkpoint_id=training.checkpoint_id, **body)
                started = _timestamp(client.wait(submitted.id).started_at)
                candidates = list(client.candidates(submitted.id, order_by="number"))
        arrivals = Arrivals(started)
        for candidate in sorted(candidates, key=lambda each: _timestamp(each.finished_at)):
            if candidate.metrics is None:
                raise RuntimeError(f"a candidate failed: {candidate.error}")
            slot = (candidate.metrics.model_extra or {}).get("slot", 0.0)
            arrivals.note(_timestamp(candidate.finished_at), candidate.metrics.seconds, slot)
        return arrivals

    return run


def _timestamp(moment: datetime | None) -> float:
    assert moment is not None, "it has not come that far"
    return moment.timestamp()


WAYS: dict[str, Callable[[SearchSpec, EstimatorData], Arrivals]] = {
    "bare loop": bare_loop,
    "actor pool": actor_pool,
    "tune engine": on(TuneEngine),
    "actor engine": on(ActorEngine),
    "service": service_with("tune"),
    "service, actors": service_with("actors"),
}


def _job(spec: SearchSpec, data: EstimatorData) -> Job:
    return Job(evaluation_plan(spec, search_of(spec).shares, data), data)


def _proposals(spec: SearchSpec) -> list[Proposal]:
    search = search_of(spec)
    return [proposal for _ in range(spec.max_candidates) if (proposal := search.propose()) is not None]


def _report(runs: list[Arrivals], slots: int) -> dict[str, Any]:
    turns = [turn for run in runs for turn in run.turns(slots)]
    if len(turns) < 2:
        raise SystemExit(
            f"{len(turns)} results came once all {slots} slots were at work: take more candidates"
        )
    return {
        "use_of_slots": use_of_slots(turns),
        "candidates_per_second": slots * len(turns) / sum(taken for _, taken in turns),
        "overhead_seconds": summary(overheads(turns)),
        "evaluation_seconds": summary([seconds for seconds, _ in turns]),
        "start_seconds": [run.start_seconds for run in runs],
        "load": round(os.getloadavg()[0], 2),
    }


def _in_words(report: dict[str, Any]) -> str:
    overhead, evaluation = report["overhead_seconds"], report["evaluation_seconds"]
    of_bare_loop = f"{report['of_bare_loop']:.3f} of the bare loop; " if "of_bare_loop" in report else ""
    starts = ", ".join(f"{seconds:.1f} s" for seconds in report["start_seconds"])
    return (
        f"{report['candidates_per_second']:.2f}/s; {of_bare_loop}"
        f"overhead {1e3 * overhead['mean']:.1f} ms a candidate (median {1e3 * overhead['median']:.1f}, 95 % "
        f"below {1e3 * overhead['p95']:.1f}, n {overhead['n']}); "
        f"evaluation {1e3 * evaluation['mean']:.0f} ms; start {starts}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=60, help="simulated ones per repeat")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a simulated candidate")
    parser.add_argument("--slots", type=int, default=4, help="for simulated candidates")
    parser.add_argument("--real-candidates", type=int, default=60, help="per repeat")
    parser.add_argument("--repeats", type=int, default=2, help="searches with seeds 0, 1, ...")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--shared", action="store_true", help="note that the machine has other work, too")
    parser.add_argument("--output", default="bench_throughput", help="name of the file of results")
    options = parser.parse_args()
    # A slot's first result has none before it to be timed from, and a spread is of two.
    for option, number, least in (
        ("--candidates", options.candidates, options.slots + 2),
        ("--real-candidates", options.real_candidates, 3),
    ):
        if number < least:
            parser.error(f"{option} {number} are too few to measure by: take at least {least}")
    return options


if __name__ == "__main__":
    main()
