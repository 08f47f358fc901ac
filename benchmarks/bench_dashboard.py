"""How long a person waits: for the page of a search with very many candidates, and for news of one that runs.

    python benchmarks/bench_dashboard.py --candidates 100000 --loads 20 --news 20

A page counts as usable when its table can be read and its plot of candidates is drawn; each load is that of a
fresh browser context, without a cache, of a browser that has shown the overview before. First loads are told
apart: each is of a controller that has just been started, as a process of its own, and reads the search into
memory. News is the time from the end of the write of a candidate to the moment at which a page that is open
shows it. Needs Chromium.
"""

import argparse
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
import structlog
from conditions import conditions, summary, write_results
from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright
from store_population import INSERT_CANDIDATE, candidate_rows, sqlite_value

from services import processes
from services.controller.app import create_app
from services.controller.server import ControllerServer
from services.lifecycle import JobKind
from services.ports import listen
from services.schemas.requests import SearchRequest
from services.settings import Settings
from services.store import JobRecord, Store, open_store, upgrade
from services.wiring import child_environment

WINDOW: ViewportSize = {"width": 1280, "height": 900}
PATIENCE_MS = 60_000


def main() -> None:
    options = _options()
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    results: dict[str, Any] = {"benchmark": "dashboard", **conditions(), "candidates": options.candidates}
    with tempfile.TemporaryDirectory(prefix="bench-dashboard-") as folder, sync_playwright() as playwright:
        settings = Settings(data_dir=Path(folder))
        upgrade(settings.resolved_database_url)
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        results["browser"] = f"Chromium {browser.version}"
        with open_store(settings.resolved_database_url) as store, serving(settings) as url:
            large = queued(store, options.candidates)
            fill(Path(folder) / "gtn-nas.db", large.id, options.candidates)
            show_overview(browser, url)
            page = f"/searches/{large.id}"
            loads = [usable_after(browser, url + page) for _ in range(options.loads + 1)]
            results["load_seconds"] = summary(loads[1:])
            results["news_seconds"] = summary(list(news(browser, url, store, options.news)))
        results["first_load_seconds"] = summary(
            [first_load(browser, Path(folder), page) for _ in range(options.first_loads)]
        )
        browser.close()
    for name in ("load_seconds", "first_load_seconds", "news_seconds"):
        median, p95 = results[name]["median"], results[name]["p95"]
        print(f"{name}: median {median:.2f}, p95 {p95:.2f}, n {results[name]['n']}")
    print(write_results("bench_dashboard", results))


def show_overview(browser: Browser, url: str) -> None:
    """A browser that has just been started still reads itself from the disk."""
    context = browser.new_context(viewport=WINDOW)
    context.new_page().goto(url, wait_until="load")
    context.close()


def usable_after(browser: Browser, address: str) -> float:
    """Seconds from the request to a table that can be read and a plot that is drawn."""
    context = browser.new_context(viewport=WINDOW)
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    expect(page.locator("#candidates tbody tr").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#points-note")).to_contain_text("candidates are drawn", timeout=PATIENCE_MS)
    seconds = time.perf_counter() - began
    context.close()
    return seconds


def first_load(browser: Browser, folder: Path, page: str) -> float:
    """The same of a controller that has served one page yet, the overview."""
    with listen("127.0.0.1", 0) as free:
        port: int = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    controller = processes.start(
        [sys.executable, "-m", "services.cli", "serve", "--port", str(port)],
        environment=child_environment(Settings(data_dir=folder, port=port)),
        log_path=folder / "controller.log",
    )
    try:
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not answers(f"{url}/readyz") and time.monotonic() < deadline:
            time.sleep(0.1)
        show_overview(browser, url)
        return usable_after(browser, url + page)
    finally:
        processes.stop([controller], grace_seconds=10)


def answers(address: str) -> bool:
    with suppress(httpx2.TransportError):
        return httpx2.get(address, timeout=5).is_success
    return False


def news(browser: Browser, url: str, store: Store, times: int) -> Iterator[float]:
    """Seconds from each write to its being seen."""
    search = queued(store, 10 * times)
    assert store.claim(JobKind.SEARCH, "runner", 3600, job_id=search.id)
    rows = candidate_rows({search.id: 2 * times}, seed=1)
    page = browser.new_context(viewport=WINDOW).new_page()
    page.goto(f"{url}/searches/{search.id}")
    for number in range(times):
        _, _, _, space, encoding, canonical_hash, *_ = next(rows)
        store.add_candidate(
            "runner", search.id, number, space=space, encoding=encoding, canonical_hash=canonical_hash, seed=0
        )
        metrics = {"accuracy": number / times, "loss": 1.0, "params": 1000, "flops": 1000, "seconds": 0.1}
        time.sleep(0.37)  # at another moment of the page's second each time
        store.finish_candidate("runner", search.id, number, metrics=metrics)
        written = time.perf_counter()
        expect(page.locator("#progress")).to_contain_text(f"{number + 1} / ", timeout=PATIENCE_MS)
        expect(page.locator("#best-note")).to_contain_text(f"by candidate {number},", timeout=PATIENCE_MS)
        yield time.perf_counter() - written


def queued(store: Store, candidates: int) -> JobRecord:
    request = SearchRequest(
        name="bench",
        checkpoint_id="0" * 64,
        search_space={"name": "nasbench201", "channels": 16, "cells_per_stage": 5},
        algorithm={"name": "random_search"},
        max_candidates=candidates,
    ).model_dump(mode="json")
    return store.create_job(
        JobKind.SEARCH, name="bench", request=request, progress_total=candidates, subject_id="0" * 64
    )


def fill(database: Path, search_id: str, candidates: int) -> None:
    """A search that has ended, written past the store."""
    rows = candidate_rows({search_id: candidates}, seed=0)
    with sqlite3.connect(database, timeout=60) as connection:
        while batch := list(islice(rows, 20_000)):
            connection.executemany(INSERT_CANDIDATE, [tuple(map(sqlite_value, row)) for row in batch])
        ended = "state = 'succeeded', progress_done = ?, started_at = created_at, finished_at = created_at"
        connection.execute(f"UPDATE jobs SET {ended} WHERE id = ?", (candidates, search_id))
    connection.close()


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The address of a controller in this process."""
    server = ControllerServer(create_app(settings), host="127.0.0.1", port=0)
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--loads", type=int, default=20)
    parser.add_argument("--first-loads", type=int, default=10)
    parser.add_argument("--news", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
