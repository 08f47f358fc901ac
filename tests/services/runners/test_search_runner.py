"""Search runners as real processes: killed, paused, resumed and cancelled, they lose and double nothing."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Literal

import pytest

from gtn_core import FrozenCheckpoint
from nas import SearchSpec
from nas.actor_engine import ActorEngine
from nas.cluster import RoomWatch
from nas.tune_engine import TuneEngine
from services.checkpoints import store_checkpoint
from services.execution import Ending
from services.exit_codes import EXIT_CODES
from services.lifecycle import Action, CandidateState, JobKind, JobState
from services.processes import start, stop
from services.search_runner.engines import engine_for
from services.search_runner.runner import run_search
from services.settings import Settings
from services.shutdown import Shutdown
from services.store import JobRecord, JsonObject, Store
from services.wiring import Backend, child_environment

from ...ports import free_port
from .conftest import ray_head, with_plugin

pytestmark = pytest.mark.xdist_group("ray")

WaitUntil = Callable[..., None]
QueueSearch = Callable[..., JobRecord]
StartRunner = Callable[..., subprocess.Popen[bytes]]

# One candidate after the other, each long enough that a search is met in its middle.
SLOW = {"max_concurrent": 1, "estimator": {"name": "scripted", "seconds": 1.0}}


@pytest.fixture
def checkpoint_id(store: Store, backend: Backend, checkpoint: FrozenCheckpoint) -> str:
    return store_checkpoint(store, backend.artifacts, checkpoint).id


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """A Ray of its own for all runners: a local one takes each of them longer to start than its search."""
    port = free_port(taken=())
    environment = with_plugin(os.environ) | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    with ray_head(f"--port={port}", "--include-dashboard=false", environment=environment):
        yield f"127.0.0.1:{port}"


@pytest.fixture
def start_runner(settings: Settings, request: pytest.FixtureRequest) -> Iterator[StartRunner]:
    """Starts runners as the launcher does; what is left of them ends with the test."""
    runners = []

    def start_one(
        search_id: str, *, local_ray: bool = False, engine: str = "auto"
    ) -> subprocess.Popen[bytes]:
        address = "" if local_ray else request.getfixturevalue("ray_address")
        changes = {"ray_address": address, "search_engine": engine}
        environment = child_environment(settings.model_copy(update=changes))
        command = [sys.executable, "-m", "services.search_runner", search_id]
        log_path = settings.data_dir / "runner.log"
        runners.append(start(command, environment=with_plugin(environment), log_path=log_path))
        return runners[-1]

    yield start_one
    stop(runners, grace_seconds=20)
    print((settings.data_dir / "runner.log").read_text())  # pytest shows it when the test has failed


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
class TestOnPostgres:
    @pytest.fixture
    def runner_database_url(self, database_url: str) -> str:
        return database_url

    def test_a_second_runner_finishes_what_a_killed_one_began(
        self,
        store: Store,
        checkpoint_id: str,
        queue_search: QueueSearch,
        start_runner: StartRunner,
        wait_until: WaitUntil,
    ) -> None:
        search = queue_search(checkpoint_id, candidates=6, **SLOW).id
        first = start_runner(search, engine="actors")
        wait_until(lambda: len(store.history(search)) >= 2)
        first.kill()
        first.wait(30)
        finished = store.history(search)
        assert 2 <= len(finished) < 6
        wait_until(store.requeue_expired)

        assert start_runner(search, engine="actors").wait(200) == 0
        job, history = store.get_job(search), store.history(search)
        assert (job.state, job.progress_done) == (JobState.SUCCEEDED, 6)
        assert sorted(candidate.number for candidate in history) == list(range(6))
        assert len({candidate.canonical_hash for candidate in history}) == 6
        assert all(candidate.state is CandidateState.SUCCEEDED for candidate in history)
        # What the killed runner had finished is there as it left it, and was not evaluated again.
        assert history[: len(finished)] == finished
        events = [event for event in store.events_after(search, 0, 1000) if event.type == "candidate"]
        assert sorted(event.data["number"] for event in events) == list(range(6))


def test_pause_and_cancel_stop_a_runner_in_order(
    store: Store,
    checkpoint_id: str,
    queue_search: QueueSearch,
    start_runner: StartRunner,
    wait_until: WaitUntil,
) -> None:
    search = queue_search(checkpoint_id, candidates=500, **SLOW).id

    def finished() -> int:
        return len(store.history(search))

    runner = start_runner(search)
    wait_until(lambda: finished() >= 1)
    store.act(search, Action.PAUSE)
    assert runner.wait(120) == 0
    job = store.get_job(search)
    assert (job.state, job.lease_owner) == (JobState.PAUSED, None)
    paused_at = finished()

    store.act(search, Action.RESUME)
    runner = start_runner(search)
    wait_until(lambda: finished() > paused_at)
    store.act(search, Action.CANCEL)
    assert runner.wait(120) == 0
    assert store.get_job(search).state is JobState.CANCELLED
    assert store.in_flight(search) == []
    numbers = [candidate.number for candidate in store.history(search)]
    assert sorted(numbers) == list(range(len(numbers)))


def test_an_extended_search_goes_on_from_what_it_has(
    store: Store,
    checkpoint_id: str,
    queue_search: QueueSearch,
    start_runner: StartRunner,
    wait_until: WaitUntil,
) -> None:
    def two_more(job: JobRecord) -> JsonObject:
        return {**job.request, "max_candidates": job.request["max_candidates"] + 2}

    search = queue_search(checkpoint_id, candidates=3, **SLOW).id
    runner = start_runner(search, engine="actors")  # the one that starts sooner
    wait_until(lambda: store.history(search))
    store.extend(search, two_more)  # while it runs
    assert runner.wait(200) == 0
    first = store.history(search)
    assert (store.get_job(search).state, len(first)) == (JobState.QUEUED, 3)
    assert start_runner(search, engine="actors").wait(200) == 0
    assert (store.get_job(search).state, len(store.history(search))) == (JobState.SUCCEEDED, 5)

    store.extend(search, two_more)  # after its end
    assert start_runner(search, engine="actors").wait(200) == 0
    job, history = store.get_job(search), store.history(search)
    assert (job.state, job.progress_done, job.progress_total) == (JobState.SUCCEEDED, 7, 7)
    assert job.result == {"exhausted": None, "timed_out": False, "left_out": []}
    assert history[:3] == first
    assert sorted(candidate.number for candidate in history) == list(range(7))
    assert len({candidate.canonical_hash for candidate in history}) == 7


def test_a_search_that_asks_for_more_than_there_is_fails_and_says_so(
    store: Store, checkpoint_id: str, queue_search: QueueSearch, start_runner: StartRunner
) -> None:
    search = queue_search(checkpoint_id, resources={"cpus_per_candidate": 1000}).id
    assert start_runner(search, local_ray=True).wait(200) == 1
    job = store.get_job(search)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert "a candidate needs a node with 1000 CPUs" in job.error["detail"]
    told = [event.data["waiting_for"] for event in store.events_after(search) if event.type == "waiting"]
    assert len(told) == 1
    assert "1000 CPUs" in told[0]
    assert store.history(search) == store.in_flight(search) == []


@pytest.mark.parametrize(
    ("setting", "candidates", "engine"),
    [
        ("auto", 1000, TuneEngine),
        ("auto", 1001, ActorEngine),
        ("tune", 100_000, TuneEngine),
        ("actors", 1, ActorEngine),
    ],
)
def test_the_engine_is_the_one_of_the_settings_or_by_size(
    setting: Literal["auto", "tune", "actors"], candidates: int, engine: type
) -> None:
    spec = SearchSpec(max_candidates=candidates)
    assert type(engine_for(Settings(search_engine=setting), spec, RoomWatch(), None)) is engine


def test_a_search_that_someone_else_has_is_left_alone(
    store: Store, settings: Settings, queue_search: QueueSearch
) -> None:
    search = queue_search().id
    assert store.claim(JobKind.SEARCH, "another", 30, job_id=search) is not None
    assert run_search(search, settings, Shutdown()) is None
    assert store.get_job(search).lease_owner == "another"


@pytest.mark.parametrize("runner", ["services.search_runner", "services.meta_worker"])
def test_a_runner_whose_database_is_not_its_controllers_fails_and_says_so(
    store: Store, settings: Settings, runner: str
) -> None:
    """By its exit code: as one that finds nothing to do it would be followed by another, without end."""
    ended = subprocess.run(
        [sys.executable, "-m", runner, "of-another-service"],
        env=child_environment(settings),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert f"no job with id 'of-another-service' in the database {store}" in ended.stderr
    assert "GTN_NAS_DATABASE_URL" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_checkpoint_that_is_gone_fails_the_search_before_any_candidate(
    store: Store, settings: Settings, queue_search: QueueSearch
) -> None:
    search = queue_search("f" * 64).id
    assert run_search(search, settings, Shutdown()) is Ending.FAILED
    job = store.get_job(search)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert "f" * 64 in job.error["detail"]
    assert store.history(search) == store.in_flight(search) == []


def test_a_runner_without_its_database_says_so_and_tells_it_by_its_exit_code(settings: Settings) -> None:
    environment = child_environment(settings) | {
        "GTN_NAS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere"
    }
    runner = subprocess.run(
        [sys.executable, "-m", "services.search_runner", "a1"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert runner.returncode == 4
    assert "127.0.0.1:1" in runner.stderr
    assert "Traceback" not in runner.stderr


def test_a_runner_whose_schema_is_not_the_databases_leaves_the_search_in_the_queue(
    unmigrated: dict[str, str],
) -> None:
    command = [sys.executable, "-m", "services.search_runner", "a1"]
    runner = subprocess.run(command, env=unmigrated, capture_output=True, text=True)
    assert runner.returncode == EXIT_CODES[Ending.ABANDONED]
    assert "gtn-nas db upgrade" in runner.stderr
    assert "Traceback" not in runner.stderr
