"""The Ray Jobs launcher against a real head node: jobs are submitted once, found again, and reaped."""

import os
import shutil
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.dispatch.lanes import make_dispatcher
from services.dispatch.launcher import RunnerExit
from services.dispatch.ray_jobs import RayJobs
from services.dispatch.ray_jobs_launcher import RayJobsLauncher
from services.errors import ClusterUnavailableError
from services.lifecycle import JobKind, JobState
from services.settings import Settings
from services.store import Store

from ...ports import free_port
from ...waiting import wait_until
from .conftest import ray_head

pytestmark = pytest.mark.xdist_group("ray")

TOKEN = "a-token-of-at-least-sixteen-characters"
CREDENTIALS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def of_nodes(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> dict[str, str]:
    """The settings of jobs."""
    folder = tmp_path_factory.mktemp("jobs")
    shutil.copy(sqlite_template, folder / "gtn-nas.db")
    return {
        "GTN_NAS_DATABASE_URL": f"sqlite:///{folder / 'gtn-nas.db'}",
        "GTN_NAS_DATA_DIR": str(folder / "data"),
    }


@pytest.fixture
def runner_database_url(of_nodes: dict[str, str]) -> str:
    return of_nodes["GTN_NAS_DATABASE_URL"]


@pytest.fixture
def settings(settings: Settings, of_nodes: dict[str, str]) -> Settings:
    return settings.model_copy(update={"data_dir": Path(of_nodes["GTN_NAS_DATA_DIR"])})


@pytest.fixture(scope="module")
def jobs_url(of_nodes: dict[str, str]) -> Iterator[str]:
    """The Jobs API of a head node for these tests, under token authentication."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", TOKEN)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        ports: dict[str, int] = {}
        for name in ("port", "dashboard-port", "dashboard-agent-listen-port"):
            ports[name] = free_port(ports.values())
        options = [f"--{name}={port}" for name, port in ports.items()]
        with ray_head(*options, environment=os.environ | of_nodes):
            url = f"http://127.0.0.1:{ports['dashboard-port']}"
            wait_until(lambda: _answers(f"{url}/api/gcs_healthz"))
            yield url


def test_a_restarted_controller_finds_its_runners_and_hears_of_their_end(
    jobs_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, started = tmp_path / "release", tmp_path / "started"
    code = f"""
import os, sys, time
from pathlib import Path
with open({str(started)!r}, 'a') as log: print(sys.argv[1], os.environ['GTN_NAS_RAY_ADDRESS'], file=log)
while not Path({str(release)!r}).exists(): time.sleep(0.1)
sys.exit('out of luck')
"""
    script = tmp_path / "runner.py"
    script.write_text(code)

    def launcher(**resources: float) -> RayJobsLauncher:
        return RayJobsLauncher(
            RayJobs(jobs_url),
            prefix="search",
            entrypoint=f"{sys.executable} {script}",
            environment={"GTN_NAS_RAY_ADDRESS": "auto"},
            resources=resources,
        )

    before = launcher()
    before.launch("a1")
    before.launch("a1")
    wait_until(started.exists)
    assert before.active() == {"a1"}
    assert before.reap() == []
    before.shutdown()  # the controller goes, the job stays

    after = launcher()
    after.launch("a1")
    assert after.reap() == []
    release.touch()
    exits: list[RunnerExit] = []
    wait_until(lambda: exits.extend(after.reap()) or exits)
    assert [(end.job_id, end.exit_code) for end in exits] == [("a1", 1)]
    assert "out of luck" in exits[0].log_tail
    assert after.active() == frozenset()
    assert started.read_text() == "a1 auto\n"
    (first,) = RayJobs(jobs_url).list()

    after.launch("a1")  # it died: the next one is a new job
    wait_until(lambda: after.reap() and started.read_text() == "a1 auto\n" * 2)

    monkeypatch.setattr("services.dispatch.ray_jobs_launcher.KEPT", timedelta(0))
    after.launch("a1")  # also after old ones were forgotten
    assert RayJobs(jobs_url).get(first.submission_id) is None
    wait_until(lambda: started.read_text() == "a1 auto\n" * 3)

    # What no node has room for waits, and is forgotten when it is to end.
    hungry = launcher(CPU=0.5, trainer=1)
    hungry.launch("b2")
    assert hungry.reap() == []
    assert hungry.waiting() == {"b2"}
    hungry.end("b2")
    assert hungry.active() == hungry.waiting() == frozenset()

    monkeypatch.setenv("RAY_AUTH_TOKEN", "another-token-than-the-cluster-has")
    with pytest.raises(ClusterUnavailableError, match="the token is not the cluster's"):
        after.launch("c3")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    with pytest.raises(ClusterUnavailableError, match="set RAY_AUTH_TOKEN"):
        after.launch("c3")


def test_a_meta_training_runs_as_a_ray_job_and_its_ranks_on_the_same_cluster(
    jobs_url: str, store: Store, settings: Settings
) -> None:
    config = {"inner_steps": 2, "batch_size": 10, "meta_steps": 2, "learner_channels": [2], "save_every": 1}
    config |= {"learners_per_meta_step": 2}
    request = {
        "dataset": {"name": "digits"},
        "config": config,
        "seed": 0,
        "resources": {"ranks": 2, "cpus_per_rank": 0.5},
    }
    job = store.create_job(JobKind.META_TRAINING, name="", request=request, progress_total=2)
    on_ray = settings.model_copy(update={"ray_jobs_url": jobs_url, "training_resources": {"CPU": 1.0}})
    dispatcher = make_dispatcher(store, on_ray)

    def step_until_ended() -> bool:
        dispatcher.step()
        return store.get_job(job.id).state.terminal

    wait_until(step_until_ended)
    ended = store.get_job(job.id)
    assert ended.state is JobState.SUCCEEDED, ended.error
    assert store.get_checkpoint((ended.result or {})["checkpoint_id"])
    submitted = [each for each in RayJobs(jobs_url).list() if each.submission_id.startswith("training-")]
    assert [each.submission_id.rpartition("-")[0] for each in submitted] == [f"training-{job.id}"]
    details = _ask(f"{jobs_url}/api/jobs/{submitted[0].submission_id}")
    assert details["entrypoint"] == (
        "env OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= LD_PRELOAD=libjemalloc.so.2 "
        f"python -P -m services.meta_worker {job.id}"
    )
    assert details["runtime_env"]["env_vars"] == {"GTN_NAS_RAY_ADDRESS": "auto"}  # what ranks inherit
    actors = _ask(f"{jobs_url}/api/v0/actors")["data"]["result"]["result"]
    assert sum(each["class_name"] == "RayTrainWorker" for each in actors) == 2


def test_without_places_trainings_are_left_to_meta_workers(store: Store, settings: Settings) -> None:
    config = settings.model_copy(update={"ray_jobs_url": "http://127.0.0.1:9", "max_running_trainings": 0})
    job = store.create_job(JobKind.META_TRAINING, name="", request={}, progress_total=1)
    make_dispatcher(store, config).step()  # asks no cluster: there is none
    assert store.get_job(job.id).waiting_for is None
    make_dispatcher(store, config.model_copy(update={"max_running_trainings": 1})).step()
    waiting_for = store.get_job(job.id).waiting_for or ""
    assert waiting_for.startswith("the cluster: Ray at http://127.0.0.1:9 does not answer")


def _ask(url: str) -> Any:
    return httpx2.get(url, headers=CREDENTIALS).json()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).is_success
    except httpx2.TransportError:
        return False
