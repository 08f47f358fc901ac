"""Does a service that works for long stay as it was? Memory, open files, threads and disk, by round.

    python benchmarks/bench_soak.py --minutes 40

Starts the local stack on an empty folder and works like its users, round after round: a search of one of
several estimators and algorithms, followed by its event stream; rankings, fronts and the dashboard's pages,
read again and again; a final training and exports of the winner; requests that are refused; a search that is
cancelled; and every second search is deleted. After each round the controller and the meta-training worker
are looked at, and what is left on the machine. Each number is reported as the median of the first and of the
last third of the rounds, and as the slope by round between them; growth is what a month would add up.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import structlog
from conditions import conditions, write_results

from services.client import Client
from services.export_formats import ExportFormat
from services.lifecycle import JobState
from services.local_stack import LocalStack
from services.schemas import CandidateView, SearchView
from services.shutdown import Shutdown
from services.wiring import load_settings

SPACE = {"name": "nasbench201", "channels": 4, "cells_per_stage": 1}
CANDIDATES = 8
SEARCHES: list[dict[str, Any]] = [
    {"estimator": {"name": "gtn"}, "algorithm": {"name": "random_search"}},
    {"estimator": {"name": "zero_cost"}, "algorithm": {"name": "local_search"}},
    {"estimator": {"name": "ensemble"}, "algorithm": {"name": "tpe"}},
    {"estimator": {"name": "real_data"}, "algorithm": {"name": "regularized_evolution"}},
]
EXPORTS: tuple[ExportFormat, ...] = ("python", "safetensors", "torch_export")
REFUSED = [
    ("GET", "/v1/searches/none", None, 404),
    ("POST", "/v1/searches", {"max_candidates": -1}, 422),
    ("GET", "/v1/candidates?order_by=beauty", None, 422),
    ("POST", "/healthz", None, 405),
]


def main() -> None:
    options = _options()
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    results: dict[str, Any] = {"benchmark": "soak", **conditions(), "readings_per_round": options.readings}
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as folder:
        stack = LocalStack(load_settings(data_dir=Path(folder), port=0))
        with stack, Client(stack.url) as client, httpx2.Client(base_url=stack.url, timeout=60) as http:
            stack.wait_until_ready(Shutdown())
            checkpoint = next(each.id for each in client.list_checkpoints() if each.name == "digits")
            ends = time.monotonic() + 60 * options.minutes
            for number, asked in enumerate(itertools.cycle(SEARCHES)):
                began = time.monotonic()
                if began > ends:
                    break
                requests = work(
                    client,
                    http,
                    {"checkpoint_id": checkpoint, **asked},
                    readings=options.readings,
                    delete=number % 2 == 1,
                )
                restarts = sum(child.process is None for child in stack.children)
                rounds.append(
                    {
                        "seconds": time.monotonic() - began,
                        "requests": requests,
                        "children_down": restarts,
                        **looked_at(stack, Path(folder)),
                    }
                )
                print(number, {name: round(value, 1) for name, value in rounds[-1].items()}, flush=True)
                results |= {"rounds": len(rounds), "growth": growth(rounds), "by_round": rounds}
                path = write_results("bench_soak", results)
    for name, found in results["growth"].items():
        print(f"{name}: {found['first']:.1f}, then {found['last']:.1f}; {found['by_round']:+.3f} by round")
    print(path)


def work(client: Client, http: httpx2.Client, asked: dict[str, Any], *, readings: int, delete: bool) -> int:
    """One round; returns how many requests were sent by hand, each answered as it should be."""
    search = client.create_search(search_space=SPACE, max_candidates=CANDIDATES, name="soak", **asked)
    ended = client.wait(search.id)
    assert isinstance(ended, SearchView), ended
    assert ended.state is JobState.SUCCEEDED, ended.error
    best = next(iter(client.candidates(search.id, state="succeeded", limit=1)))
    assert client.wait(client.retrain(best.id, epochs=1).id).state is JobState.SUCCEEDED
    for kind in EXPORTS:
        assert client.export(best.id, kind)
    requests = 0
    for address in itertools.islice(itertools.cycle(addresses(search, best)), readings):
        answer = http.get(address)
        assert answer.status_code == 200, (address, answer.text)
        requests += 1
    for method, address, body, status in REFUSED:
        answer = http.request(method, address, json=body)
        assert answer.status_code == status, (address, answer.status_code, answer.text)
        requests += 1
    dropped = client.clone(search.id, max_candidates=CANDIDATES * 10)
    client.cancel(dropped.id)
    assert client.wait(dropped.id).state is JobState.CANCELLED
    if delete:
        client.delete(search.id)
        client.delete(dropped.id)
    return requests


def addresses(search: SearchView, best: CandidateView) -> Iterator[str]:
    yield from ("/", "/searches", "/searches/new", "/checkpoints", "/v1/cluster", "/metrics", "/readyz")
    yield from (f"/searches/{search.id}", f"/candidates/{best.id}", f"/v1/searches/{search.id}/pareto")
    for order in ("-accuracy", "params", "created_at"):
        yield f"/v1/searches/{search.id}/candidates?order_by={order}&limit=50"
    yield from ("/v1/candidates?limit=50", "/v1/searches?limit=50", f"/v1/candidates/{best.id}")


def looked_at(stack: LocalStack, folder: Path) -> dict[str, float]:
    """Memory and handles of the children, and what lies on disk and in the process table."""
    found: dict[str, float] = {}
    for child in stack.children:
        if child.process is not None:
            of_child = process_numbers(Path(f"/proc/{child.process.pid}"))
            found |= {f"{child.name} {name}": value for name, value in of_child.items()}
    found["database MiB"] = sum(each.stat().st_size for each in folder.glob("gtn-nas.db*")) / 2**20
    files = [each for each in folder.rglob("*") if each.is_file()]
    found["files"] = len(files)
    found["logs MiB"] = sum(each.stat().st_size for each in files if each.suffix == ".log") / 2**20
    found["processes of Ray"] = sum("ray" in name for name in process_names())
    return found


def process_numbers(process: Path) -> dict[str, float]:
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return {
        "MiB": int(status["VmRSS"].split()[0]) / 1024,
        "threads": int(status["Threads"]),
        "open files": len(list((process / "fd").iterdir())),
    }


def process_names() -> Iterator[str]:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                yield (process / "comm").read_text()
            except OSError:
                continue  # it ended meanwhile


def growth(rounds: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """By number: its medians over the first and the last third of the rounds, and the slope between them."""
    third = max(1, len(rounds) // 3)
    found = {}
    for name in rounds[0]:
        first, last = (
            statistics.median(each[name] for each in part if name in each)
            for part in (rounds[:third], rounds[-third:])
        )
        apart = max(1, len(rounds) - third)
        found[name] = {"first": first, "last": last, "by_round": (last - first) / apart}
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--readings", type=int, default=300, help="GET requests in a round")
    return parser.parse_args()


if __name__ == "__main__":
    main()
