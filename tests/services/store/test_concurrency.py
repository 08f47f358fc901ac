"""Real processes on one database: one winner of every race, and no writer turned away."""

import multiprocessing
from collections import Counter
from collections.abc import Callable
from typing import Any

from services.lifecycle import JobKind
from services.store import JobRecord, Store, open_store

MakeJob = Callable[..., JobRecord]
SPAWN = multiprocessing.get_context("spawn")  # a store is not to be shared across a fork


def test_of_several_processes_exactly_one_claims_each_job(
    store: Store, database_url: str, queued_search: MakeJob
):
    jobs = {queued_search(str(number)).id for number in range(30)}
    with SPAWN.Pool(3) as pool:
        claims = pool.starmap(claim_all, [(database_url, f"runner {number}") for number in range(3)])
    claimed = Counter(job_id for each in claims for job_id in each)
    assert claimed == dict.fromkeys(jobs, 1)
    assert store.claim(JobKind.SEARCH, "late", 30) is None


def test_writers_wait_their_turn(store: Store, database_url: str, running_search: MakeJob, succeed: Any):
    """Three processes, 100 transactions each, all read before they write; none fails, nothing is lost."""
    job = running_search(candidates=300)
    with SPAWN.Pool(3) as pool:
        pool.starmap(write_candidates, [(database_url, job.id, start) for start in range(3)])
    history = store.history(job.id)
    assert sorted(candidate.number for candidate in history) == list(range(300))
    assert store.get_job(job.id).progress_done == 300
    done = [
        event.data["done"] for event in store.events_after(job.id, limit=1000) if event.type == "candidate"
    ]
    assert done == list(range(1, 301)), "each saw what the others had written"


def claim_all(database_url: str, owner: str) -> list[str]:
    with open_store(database_url) as store:
        claimed = []
        while (job := store.claim(JobKind.SEARCH, owner, 30)) is not None:
            claimed.append(job.id)
        return claimed


def write_candidates(database_url: str, search_id: str, start: int) -> None:
    with open_store(database_url) as store:
        for number in range(start, 300, 3):
            store.add_candidate(
                "runner", search_id, number, space="s", encoding="e", canonical_hash=f"{number}", seed=number
            )
            store.finish_candidate(
                "runner",
                search_id,
                number,
                metrics={"accuracy": 0.5, "loss": 1.0, "params": 1, "flops": 1, "seconds": 0.1},
            )
