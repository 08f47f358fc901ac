"""The store under a million candidates: ranked pages, inserts and Pareto fronts, on both engines.

    python benchmarks/bench_store.py    # a million in 1,000 searches
    python benchmarks/bench_store.py --candidates 20000 --searches 50    # a quick look

Pages have 50 rows. They are read in the store, and over HTTP from a controller in a process of its own, by
one client that keeps its connection. "1000th" is the page reached by the cursors of 999 pages before it in
the largest search, or the last full one of a smaller search. Each page is read once before it is timed; the
first page after a start is reported apart. A page is read `--repeats` times, but for no longer than
`--seconds-per-case`: n says how often it was. The baselines: the same page by OFFSET, and the plain driver's
executemany.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx2
import sqlalchemy as sa
from conditions import conditions, write_results
from rich.console import Console
from rich.table import Table
from store_population import (
    INSERT_CANDIDATE,
    INSERT_JOB,
    Population,
    candidate_rows,
    job_row,
    populated,
)

from services.lifecycle import CandidateState, JobKind
from services.ports import listen
from services.store import Bounds, CandidateFilter, NewCandidate, Store, open_store
from services.store.engine import create_engine
from services.store.ranked_candidates import ORDER_COLUMNS

PAGE, DEEP = 50, 1000
ORDERS = [sign + name for name in ORDER_COLUMNS for sign in ("-", "")]
FILTERS: dict[str, dict[str, Any]] = {
    "succeeded": {"state": CandidateState.SUCCEEDED},
    "failed": {"state": CandidateState.FAILED},
    "running": {"state": CandidateState.RUNNING},
    "half by params": {"within": (Bounds("params", high=386_000),)},
    "tenth by flops": {"within": (Bounds("flops", high=10_000_000),)},
    "hundredth by both": {"within": (Bounds("params", high=142_000), Bounds("flops", high=10_000_000))},
    "none by params": {"within": (Bounds("params", high=0),)},
    "accuracy of 0.8": {"within": (Bounds("accuracy", low=0.8),)},
}
SPACE_FILTERS: dict[str, dict[str, Any]] = {
    "tenth by space": {"search_space": "nasnet_micro"},
    "none by space": {"search_space": "no_such_space"},
}
METRICS = {"accuracy": 0.5, "loss": 1.0, "params": 5000, "flops": 10**6, "seconds": 1.0}
FILTER_ORDERS = ("-accuracy", "params", "-created_at", "number")
OBJECTIVES = (["accuracy", "params"], ["accuracy", "params", "flops"])
TARGETS_MS = {"store": 10.0, "http": 25.0, "pareto": 200.0, "first pareto": 200.0}
ONE_BY_ONE, IN_BATCHES = "proposed one by one", "proposed in batches"
RATE_TARGETS = {"sqlite": {ONE_BY_ONE: 2000, IN_BATCHES: 5000}, "postgresql": {IN_BATCHES: 5000}}
FIRST_FRONTS = 10
Row = TypeVar("Row")
Case = tuple[str, CandidateFilter, str, str | None]  # label, filter, order, cursor


def main() -> None:
    options = _options()
    results: dict[str, Any] = {"benchmark": "store", **conditions(), "seed": options.seed}
    results["versions"] |= {name: version(name) for name in ("sqlalchemy", "psycopg", "fastapi", "uvicorn")}
    results["setting"] = f"{options.candidates} candidates in {options.searches} searches, pages of {PAGE}"
    started = time.perf_counter()
    for engine in options.engines.split(","):
        with (
            tempfile.TemporaryDirectory() as folder,
            populated(engine, Path(folder), options.candidates, options.searches, options.seed) as population,
        ):
            results[engine] = measure(population, Path(folder), options)
    results["seconds"] = round(time.perf_counter() - started)
    print_table(results)
    print(write_results("bench_store", results))


def measure(population: Population, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Everything on one engine."""
    times = partial(times_of, options.repeats, options.seconds_per_case)
    largest = next(iter(population.sizes))
    measured: dict[str, Any] = {"server": server_version(population.url)}
    with open_store(population.url) as store:
        first = CandidateFilter(largest)
        measured["first_page_after_start_ms"] = 1e3 * seconds_of(
            store.list_candidates, first, order_by="number"
        )
        cases = list(page_cases(store, largest))
        measured["store"] = {
            label: times(store.list_candidates, only, order_by=order, cursor=cursor)
            for label, only, order, cursor in cases
        }
        measured["offset"] = {
            "first": times(by_offset, store, largest, 0),
            "1000th": times(by_offset, store, largest, deep_rows(population.sizes[largest])),
        }
        measured["pareto"] = {
            ", ".join(objectives): times(store.pareto, largest, objectives) for objectives in OBJECTIVES
        }
        measured["first pareto"] = {
            ", ".join(objectives): first_fronts(population.url, largest, objectives)
            for objectives in OBJECTIVES
        }
        measured["inserts"] = inserts(store, population, options)
    with controller(population.url, folder) as url, httpx2.Client(base_url=url) as client:
        measured["http"] = {label: times(fetch, client, *case) for label, *case in cases}
    return measured


def first_fronts(url: str, search_id: str, objectives: Sequence[str]) -> dict[str, float]:
    """Times of the first request after a start: later ones find the front in memory."""
    times = []
    for _ in range(FIRST_FRONTS):
        with open_store(url) as store:
            store.count_by_state(search_id)  # so that the connection is there
            times.append(seconds_of(store.pareto, search_id, objectives))
    return summary(times)


def page_cases(store: Store, largest: str) -> Iterator[Case]:
    """Every order, in the largest search and across, first and deep; then filters."""
    for scope, search_id in (("search", largest), ("across", None)):
        for order in (*ORDERS, "rank", "-rank") if search_id else ORDERS:
            only = CandidateFilter(search_id)
            yield f"{scope} {order} first", only, order, None
            yield f"{scope} {order} 1000th", only, order, deep_cursor(store, only, order)
        filters = FILTERS if search_id else FILTERS | SPACE_FILTERS
        for name, fields in filters.items():
            only = CandidateFilter(search_id, **fields)
            for order in ("rank", *FILTER_ORDERS) if search_id else FILTER_ORDERS:
                yield f"{scope} {order} {name}", only, order, None


def deep_cursor(store: Store, only: CandidateFilter, order: str) -> str | None:
    """The cursor of the 1000th page, or of the last full one of a smaller list."""
    cursor = None
    for pages_left in range(DEEP * PAGE // 1000 - 1, 0, -1):
        page = store.list_candidates(only, order_by=order, limit=1000, cursor=cursor)
        if page.next_cursor is None:
            return cursor
        cursor = page.next_cursor
        if pages_left == 1:
            for _ in range(1000 // PAGE - 1):
                following = store.list_candidates(only, order_by=order, limit=PAGE, cursor=cursor).next_cursor
                cursor = following or cursor
    return cursor


def deep_rows(size: int) -> int:
    return min((DEEP - 1) * PAGE, size - PAGE)


def by_offset(store: Store, search_id: str, offset: int) -> int:
    """The page at `offset`, as it is asked for where there are no cursors; its ranks are its positions."""
    page = sa.text(
        "SELECT * FROM candidates WHERE search_id = :search ORDER BY accuracy IS NULL, accuracy DESC, number "
        f"LIMIT {PAGE} OFFSET :offset"
    )
    with store._database.read() as session:
        return len(session.execute(page, {"search": search_id, "offset": offset}).all())


def fetch(client: httpx2.Client, only: CandidateFilter, order: str, cursor: str | None) -> None:
    place = f"/v1/searches/{only.search_id}/candidates" if only.search_id else "/v1/candidates"
    parameters = {"order_by": order, "limit": PAGE, "cursor": cursor, **query_of(only)}
    asked = {name: value for name, value in parameters.items() if value is not None}
    answer = client.get(f"{place}?{urlencode(asked)}")
    answer.raise_for_status()


def query_of(only: CandidateFilter) -> dict[str, Any]:
    """The filter as a URL tells it; None is left out there."""
    query: dict[str, Any] = {"state": only.state, "search_space": only.search_space}
    for bounds in only.within:
        query |= {f"min_{bounds.metric}": bounds.low, f"max_{bounds.metric}": bounds.high}
    return query


def inserts(store: Store, population: Population, options: argparse.Namespace) -> dict[str, Any]:
    """Candidates per second into the full table: proposed, finished, proposed in batches, plain."""
    search = store.create_job(JobKind.SEARCH, name="inserts", request={}, progress_total=options.inserts)
    store.claim(JobKind.SEARCH, "bench", 3600, job_id=search.id)
    rows = [
        _proposal(row)
        for row in islice(candidate_rows({search.id: 3 * options.inserts}, 1), 3 * options.inserts)
    ]
    one_by_one, proposed = rows[: options.inserts], rows[options.inserts :]

    def add(candidate: NewCandidate) -> None:
        store.add_candidate(
            "bench",
            search.id,
            candidate.number,
            space=candidate.space,
            encoding=candidate.encoding,
            canonical_hash=candidate.canonical_hash,
            seed=candidate.seed,
        )

    def finish(candidate: NewCandidate) -> None:
        store.finish_candidate("bench", search.id, candidate.number, metrics=METRICS, loss_curve=[2.0] * 32)

    added = [seconds_of(add, candidate) for candidate in one_by_one]
    finished = [seconds_of(finish, candidate) for candidate in one_by_one]
    in_batches = [
        seconds_of(store.add_candidates, "bench", search.id, batch)
        for batch in batched(options.batch, proposed)
    ]
    plain_search = "f" * 16
    population.execute_many(INSERT_JOB, [job_row(plain_search, 0)])
    plain = list(candidate_rows({plain_search: 2 * options.inserts}, 2))
    executemany = [
        seconds_of(population.execute_many, INSERT_CANDIDATE, batch)
        for batch in batched(options.batch, plain)
    ]
    return {
        ONE_BY_ONE: rate(len(added), added),
        "finished one by one": rate(len(finished), finished),
        "proposed and finished one by one": rate(len(added), added + finished),
        IN_BATCHES: rate(len(proposed), in_batches),
        "baseline: plain executemany in such batches": rate(len(plain), executemany),
        "baseline: plain executemany of 20000": {"value": population.rows_per_second, "n": population.rows},
    }


def batched(size: int, rows: list[Row]) -> list[list[Row]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _proposal(row: tuple[Any, ...]) -> NewCandidate:
    return NewCandidate(row[1], space=row[3], encoding=row[4], canonical_hash=row[5], seed=row[6])


@contextmanager
def controller(database_url: str, folder: Path) -> Iterator[str]:
    """A real controller in a process of its own."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    environment = {
        "GTN_NAS_DATABASE_URL": database_url,
        "GTN_NAS_DATA_DIR": str(folder / "data"),
        "GTN_NAS_RATE_LIMIT_PER_MINUTE": "0",
        "GTN_NAS_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "services.cli", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                httpx2.get(f"{url}/healthz").raise_for_status()
                break
            except httpx2.HTTPError:
                assert process.poll() is None, "the controller died"
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def summary(seconds: list[float]) -> dict[str, float]:
    """In milliseconds."""
    ordered = sorted(1e3 * each for each in seconds)

    def quantile(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    return {
        "p50": quantile(0.5),
        "p95": quantile(0.95),
        "p99": quantile(0.99),
        "standard_deviation": round(statistics.pstdev(ordered), 3),
        "n": len(ordered),
    }


def print_table(results: dict[str, Any]) -> None:
    console = Console(width=110, highlight=False)
    for part in ("hardware", "versions", "commit", "setting", "seed", "seconds"):
        console.print(f"{part}: {results[part]}")
    for engine in (name for name in ("sqlite", "postgresql") if name in results):
        measured = results[engine]
        console.print(latencies(measured, title=f"{engine} {measured['server']}, milliseconds"))
        table = Table("candidates per second", "value", "n", "target", "", title=engine)
        for label, rate in measured["inserts"].items():
            target = RATE_TARGETS[engine].get(label)
            missed = target is not None and rate["value"] < target
            table.add_row(label, f"{rate['value']:.0f}", str(rate["n"]), str(target or ""), "MISSED" * missed)
        console.print(table)
        console.print(f"first page after a start: {measured['first_page_after_start_ms']:.1f} ms")


def latencies(measured: dict[str, Any], title: str) -> Table:
    table = Table("page", "n", "p50", "p95", "p99", "sd", "target", "", title=title)
    for part in ("store", "http", "offset", "pareto", "first pareto"):
        target = TARGETS_MS.get(part)
        for label, row in measured[part].items():
            values = (row[key] for key in ("n", "p50", "p95", "p99", "standard_deviation"))
            missed = target is not None and row["p99"] > target
            table.add_row(f"{part}: {label}", *map(str, values), str(target or ""), "MISSED" * missed)
    return table


def rate(count: int, seconds: list[float]) -> dict[str, float]:
    return {"value": count / sum(seconds), **summary(seconds), "n": count}


def server_version(url: str) -> str:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = ".".join(map(str, connection.dialect.server_version_info or ()))
    engine.dispose()
    return found


def times_of(
    repeats: int, at_most_seconds: float, action: Callable[..., object], *arguments: Any, **named: Any
) -> dict[str, float]:
    """Quantiles of the action's times, in milliseconds, after one call that does not count."""
    action(*arguments, **named)
    times: list[float] = []
    while len(times) < repeats and (len(times) < 3 or sum(times) < at_most_seconds):
        times.append(seconds_of(action, *arguments, **named))
    return summary(times)


def seconds_of(action: Callable[..., object], *arguments: Any, **named: Any) -> float:
    started = time.perf_counter()
    action(*arguments, **named)
    return time.perf_counter() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--searches", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=120, help="of each page")
    parser.add_argument("--seconds-per-case", type=float, default=2.0)
    parser.add_argument("--inserts", type=int, default=2_000, help="one by one; in batches twice as many")
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--engines", default="sqlite,postgresql")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
