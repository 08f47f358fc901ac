"""Ends that someone asks for: a cancelled search stops, and a controller that is to end lets go in order."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from services.client import Client
from services.lifecycle import CandidateState, JobState
from services.store import open_store

from ..waiting import wait_until
from .stack import Stack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

Submit = Callable[..., str]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        yield stack
    assert stack.left_over == [], "every process has ended"


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.url, retries=60, backoff=0.2) as client:
        yield client


@pytest.fixture
def submit(client: Client) -> Submit:
    """Submits a search whose candidates take `seconds` each."""
    tiny: dict[str, Any] = {"inner_steps": 2, "batch_size": 8, "learner_channels": [4], "meta_steps": 1}
    training = client.wait(client.create_meta_training(dataset={"name": "digits"}, config=tiny).id)
    checkpoint_id = getattr(training, "checkpoint_id", None)
    assert checkpoint_id, training.error

    def search(*, seconds: float) -> str:
        return client.create_search(
            checkpoint_id=checkpoint_id,
            search_space={"name": "nasbench201", "channels": 4, "cells_per_stage": 1},
            algorithm={"name": "random_search"},
            estimator={"name": "scripted", "seconds": seconds},
            max_candidates=5000,
            max_concurrent=1,
        ).id

    return search


def test_users_stop_a_search_and_the_controller_is_stopped(
    stack: Stack, client: Client, submit: Submit
) -> None:
    # Cancel: candidates of ten minutes are stopped; the test's own time limit is no longer than that.
    hopeless = submit(seconds=600)
    wait_until(lambda: list(client.candidates(hopeless, state="running")))
    wait_until(stack.ray_workers)
    (worker,) = stack.ray_workers()
    asked_at = time.monotonic()
    client.cancel(hopeless)
    psutil.wait_procs([worker], timeout=120)
    assert not worker.is_running()
    print(f"the candidate in flight was stopped {time.monotonic() - asked_at:.1f} s after cancel")
    wait_until(lambda: not list(client.candidates(hopeless, state=CandidateState.RUNNING)))
    print(f"and the search let go of {time.monotonic() - asked_at:.1f} s after cancel")
    assert [each.state for each in client.candidates(hopeless)] == [CandidateState.CANCELLED]

    # SIGTERM to the controller, with a stream open and a search running.
    search = submit(seconds=0.2)
    stream = Stream(f"{stack.url}/v1/searches/{search}/events")
    wait_until(lambda: stream.candidates >= 3)
    controller = stack.processes["controller"]
    asked_at = time.monotonic()
    controller.send_signal(signal.SIGTERM)
    assert controller.wait(120) == -signal.SIGTERM  # which uvicorn lets have its way at the very end
    print(f"the controller ended {time.monotonic() - asked_at:.1f} s after SIGTERM")
    stream.thread.join(30)
    assert stream.ending == "complete"
    with open_store(stack.database_url) as store:
        job = store.get_job(search)
        assert (job.state, job.lease_owner, job.attempts) == (JobState.QUEUED, None, 0)
        scored = store.history(search)
    assert len(scored) >= 3
    assert stack.runners() == []


class Stream:
    """An event stream, read as it comes; `ending` says how it ended."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.candidates = 0
        self.ending: str | None = None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            with httpx2.stream("GET", self._url, timeout=60) as response:
                for line in response.iter_lines():
                    self.candidates += line == "event: candidate"
        except httpx2.TransportError as error:
            self.ending = f"broken: {error}"
        else:
            self.ending = "complete"
