"""The worker turns queued jobs into checkpoints and trained weights, also when it is killed in between."""

import io
import math
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import torch
from safetensors.torch import load as load_tensors

from gtn_core import (
    CheckpointError,
    DatasetError,
    FrozenCheckpoint,
    load_dataset,
    meta_train,
    with_learning_curves,
)
from gtn_core.divergence import require_finite
from gtn_core.meta_step import MetaStepOutcome, meta_step
from gtn_core.meta_training_state import MetaTrainingState
from nas.search_spaces import get_search_space
from nas.weights import load_weights
from services.checkpoints import load_checkpoint, store_checkpoint
from services.execution import Ending
from services.exit_codes import EXIT_CODES
from services.lease import Lease
from services.lifecycle import Action, JobKind, JobState
from services.meta_worker import meta_training_job
from services.meta_worker.worker import KINDS, Worker
from services.processes import start
from services.schemas.requests import MetaTrainingRequest, RetrainRequest
from services.settings import Settings
from services.shutdown import Shutdown
from services.store import JobRecord, JsonObject, Store
from services.wiring import Backend, child_environment

SHORT: dict[str, Any] = {"inner_steps": 2, "batch_size": 8, "meta_steps": 3, "learner_channels": [4]}
WaitUntil = Callable[..., None]


@pytest.fixture
def queue_meta_training(store: Store) -> Callable[..., JobRecord]:
    def queue(
        dataset: dict[str, Any] | None = None, *, learning_curves: bool = True, **config: Any
    ) -> JobRecord:
        request = MetaTrainingRequest.model_validate(
            {
                "name": "mine",
                "dataset": dataset or {"name": "digits"},
                "config": SHORT | config,
                "learning_curves": learning_curves,
            }
        )
        return store.create_job(
            JobKind.META_TRAINING,
            name=request.name,
            request=request.model_dump(mode="json"),
            progress_total=request.config.meta_steps,
        )

    return queue


@pytest.fixture
def candidate_id(
    store: Store,
    backend: Backend,
    checkpoint: FrozenCheckpoint,
    queue_search: Callable[..., JobRecord],
) -> str:
    """A scored candidate of a search over a stored checkpoint."""
    store_checkpoint(store, backend.artifacts, checkpoint)
    search = queue_search(checkpoint.id)
    assert store.claim(JobKind.SEARCH, "runner", 30, job_id=search.id) is not None
    encoding = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    store.add_candidate(
        "runner", search.id, 0, space="nasbench201", encoding=encoding, canonical_hash="h", seed=0
    )
    metrics = {"accuracy": 0.5, "loss": 1.0, "params": 1, "flops": 1, "seconds": 1.0}
    return store.finish_candidate("runner", search.id, 0, metrics=metrics).id


def test_a_meta_training_becomes_a_checkpoint_with_its_progress_told(
    settings: Settings, backend: Backend, queue_meta_training: Callable[..., JobRecord]
) -> None:
    job_id = queue_meta_training().id
    worker = Worker(settings, Shutdown())
    assert worker.work_once() is Ending.SUCCEEDED
    assert worker.work_once() is None

    job = backend.store.get_job(job_id)
    assert job.state is JobState.SUCCEEDED
    assert job.progress_done == 3
    assert job.result is not None
    checkpoint = load_checkpoint(backend.artifacts, job.result["checkpoint_id"])
    stored = backend.store.get_checkpoint(checkpoint.id)
    assert (stored.name, stored.manifest["config"]["meta_steps"]) == ("mine", 3)
    assert job.result["validation_accuracy"] == checkpoint.manifest.metrics["validation_accuracy"]
    assert {name: len(curve) for name, curve in checkpoint.manifest.learning_curves.items()} == {
        "gtn": 2,
        "real": 2,
        "noise": 2,
    }
    assert not (settings.data_dir / "meta-training" / job_id).exists()
    events = backend.store.events_after(job_id)
    assert [event.data["message"] for event in events if event.type == "log"] == ["measuring learning curves"]
    steps = [event.data for event in events if event.type == "meta_step"]
    assert steps[-1]["step"] == steps[-1]["total"] == 3
    assert {"loss", "accuracy", "validation_accuracy"} <= steps[-1].keys()


def test_a_checkpoint_has_the_name_that_its_meta_training_has_by_then(
    settings: Settings,
    backend: Backend,
    queue_meta_training: Callable[..., JobRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = queue_meta_training().id
    measure = meta_training_job.with_learning_curves

    def rename(*arguments: Any, **options: Any) -> FrozenCheckpoint:
        backend.store.edit_job(job_id, name="another")
        return measure(*arguments, **options)

    monkeypatch.setattr(meta_training_job, "with_learning_curves", rename)
    assert Worker(settings, Shutdown()).work_once() is Ending.SUCCEEDED
    job = backend.store.get_job(job_id)
    assert job.result is not None
    assert backend.store.get_checkpoint(job.result["checkpoint_id"]).name == "another"


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("no memory is left"), MemoryError(), CheckpointError("a curve is too short")],
    ids=lambda error: type(error).__name__,
)
def test_what_was_learned_is_kept_when_its_curves_cannot_be_measured(
    error: Exception,
    backend: Backend,
    settings: Settings,
    queue_meta_training: Callable[..., JobRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> FrozenCheckpoint:
        raise error

    monkeypatch.setattr("services.meta_worker.meta_training_job.with_learning_curves", fail)
    job = queue_meta_training()
    assert Worker(settings, Shutdown()).work_once() is Ending.SUCCEEDED
    assert checkpoint_of(backend, job).manifest.learning_curves == {}


def test_curves_are_not_measured_where_nobody_wants_them(
    backend: Backend, settings: Settings, queue_meta_training: Callable[..., JobRecord]
) -> None:
    job = queue_meta_training(learning_curves=False)
    assert Worker(settings, Shutdown()).work_once() is Ending.SUCCEEDED
    assert checkpoint_of(backend, job).manifest.learning_curves == {}


def checkpoint_of(backend: Backend, job: JobRecord) -> FrozenCheckpoint:
    result = backend.store.get_job(job.id).result
    assert result is not None
    return load_checkpoint(backend.artifacts, result["checkpoint_id"])


def test_a_worker_of_one_job_runs_that_one(
    settings: Settings, store: Store, queue_meta_training: Callable[..., JobRecord]
) -> None:
    first, second = queue_meta_training(), queue_meta_training()

    def run(job_id: str) -> int:
        command = [sys.executable, "-m", "services.meta_worker", job_id]
        return subprocess.run(command, env=child_environment(settings), capture_output=True).returncode

    assert run(second.id) == 0
    states = [store.get_job(job.id).state for job in (first, second)]
    assert states == [JobState.QUEUED, JobState.SUCCEEDED]
    assert run(second.id) == 0  # nothing to do
    assert run("no-such-job") == 1


def test_jobs_of_all_kinds_wait_in_one_line(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def run(lease: Lease, backend: Backend, folder: Path) -> JsonObject:
        done.append(lease.job.name)
        return {}

    monkeypatch.setattr("services.meta_worker.worker.KINDS", dict.fromkeys(KINDS, run))
    for name, kind, priority in (
        ("oldest", JobKind.FIDELITY_REPORT, 0),
        ("youngest", JobKind.META_TRAINING, 0),
        ("urgent", JobKind.FINAL_TRAINING, 1),
    ):
        store.create_job(kind, name=name, request={}, progress_total=1, priority=priority)
    worker = Worker(settings, Shutdown())
    assert [worker.work_once() for _ in range(4)] == [*[Ending.SUCCEEDED] * 3, None]
    assert done == ["urgent", "oldest", "youngest"]


def test_a_final_training_measures_test_data_and_stores_the_weights(
    settings: Settings, backend: Backend, candidate_id: str
) -> None:
    request = RetrainRequest(epochs=2)
    job_id = backend.store.create_job(
        JobKind.FINAL_TRAINING,
        name="",
        request=request.model_dump(mode="json"),
        subject_id=candidate_id,
        progress_total=2,
    ).id
    assert Worker(settings, Shutdown()).work_once() is Ending.SUCCEEDED

    job, result = backend.store.get_job(job_id), backend.store.get_job(job_id).result
    assert result is not None
    assert job.progress_done == 2
    assert [epoch["epoch"] for epoch in result["history"]] == [1, 2]
    assert 0.1 < result["test_accuracy"] <= 1  # better than a guess among ten digits
    space = get_search_space("nasbench201", channels=4, cells_per_stage=1)
    architecture = space.parse(backend.store.get_candidate(candidate_id).encoding)
    network = space.build(architecture, image_shape=(1, 8, 8), num_classes=10, seed=0)
    load_weights(network, backend.artifacts.get(result["weights"]))  # raises unless every tensor fits
    with zipfile.ZipFile(io.BytesIO(backend.artifacts.get(result["archive"]))) as archive:
        assert archive.namelist() == ["model.py", "model.safetensors"]
        assert len(load_tensors(archive.read("model.safetensors"))) == len(network.state_dict())
    epochs = [event.data for event in backend.store.events_after(job_id) if event.type == "epoch"]
    assert [epoch["done"] for epoch in epochs] == [1, 2]


def test_however_a_worker_ends_another_resumes_and_the_checkpoint_is_the_same(
    settings: Settings, store: Store, queue_meta_training: Callable[..., JobRecord], wait_until: WaitUntil
) -> None:
    # Long enough to be interrupted twice; each ending is noticed by the heartbeat of a second.
    long = {"meta_steps": 60, "learners_per_meta_step": 8, "save_every": 1}
    job = queue_meta_training(**long)
    for how in (signal.SIGTERM, signal.SIGKILL):
        enough = store.get_job(job.id).progress_done + 2  # by this worker, whatever the one before it did
        process = _start_worker(settings)
        wait_until(lambda enough=enough: store.get_job(job.id).progress_done >= enough)
        process.send_signal(how)
        process.wait(60)
        if how is signal.SIGTERM:
            assert process.returncode == 0
            given_back = store.get_job(job.id)
            assert (given_back.state, given_back.attempts) == (JobState.QUEUED, 0)
        else:
            assert store.get_job(job.id).state is JobState.RUNNING  # nobody knows yet
    reached = store.get_job(job.id).progress_done
    assert 4 <= reached < 60

    worker = Worker(settings, Shutdown())
    wait_until(lambda: worker.work_once() is Ending.SUCCEEDED)  # first its predecessor's lease must run out

    result = store.get_job(job.id).result
    assert result is not None
    config = MetaTrainingRequest.model_validate(job.request).config
    digits = load_dataset("digits")
    assert result["checkpoint_id"] == with_learning_curves(meta_train(digits, config), digits).id
    steps = [event.data["step"] for event in store.events_after(job.id, 0, 1000) if event.type == "meta_step"]
    assert sorted(set(steps))[-1] == 60
    assert steps.count(1) <= 1  # nobody began again


@pytest.fixture
def queue_final_training(store: Store, candidate_id: str) -> Callable[..., JobRecord]:
    def queue(**config: Any) -> JobRecord:
        request = RetrainRequest.model_validate(config)
        return store.create_job(
            JobKind.FINAL_TRAINING,
            name="",
            request=request.model_dump(mode="json"),
            subject_id=candidate_id,
            progress_total=request.epochs,
        )

    return queue


def test_a_final_training_goes_on_after_its_last_epoch_when_its_worker_is_killed(
    settings: Settings, store: Store, queue_final_training: Callable[..., JobRecord], wait_until: WaitUntil
) -> None:
    job = queue_final_training(epochs=40)
    process = _start_worker(settings)
    wait_until(lambda: store.get_job(job.id).progress_done >= 2)
    process.kill()
    process.wait(60)
    reached = store.get_job(job.id).progress_done
    assert 2 <= reached < 40

    worker = Worker(settings, Shutdown())
    wait_until(lambda: worker.work_once() is Ending.SUCCEEDED)
    result = store.get_job(job.id).result
    assert result is not None
    assert [epoch["epoch"] for epoch in result["history"]] == list(range(1, 41))
    epochs = [event.data["epoch"] for event in store.events_after(job.id, 0, 1000) if event.type == "epoch"]
    assert [epoch for epoch in epochs if epoch <= reached] == list(range(1, reached + 1))  # once each
    assert not (settings.data_dir / "final-training" / job.id).exists()


def test_a_search_space_that_cannot_write_its_python_costs_no_training(
    settings: Settings,
    store: Store,
    queue_final_training: Callable[..., JobRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_given: object, **_options: object) -> bytes:
        raise KeyError("a defect of a plugin")

    monkeypatch.setattr("services.meta_worker.final_training_job.python_archive", broken)
    job = queue_final_training(epochs=1)
    assert Worker(settings, Shutdown()).work_once() is Ending.SUCCEEDED
    result = store.get_job(job.id).result or {}
    assert "weights" in result
    assert "archive" not in result


def test_weights_that_cannot_be_stored_end_a_final_training_before_its_first_epoch(
    settings: Settings,
    store: Store,
    queue_final_training: Callable[..., JobRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extra = lambda _network: {"steps": 3}  # noqa: E731
    monkeypatch.setattr("nas.search_spaces.nasbench201_network.Network.get_extra_state", extra)
    job = queue_final_training(epochs=2)
    assert Worker(settings, Shutdown()).work_once() is Ending.FAILED
    left = store.get_job(job.id)
    assert left.progress_done == 0
    assert "_extra_state, a dict" in (left.error or {})["detail"]


def test_a_training_that_is_done_waits_for_artifacts_that_are_away(
    settings: Settings,
    store: Store,
    queue_final_training: Callable[..., JobRecord],
    monkeypatch: pytest.MonkeyPatch,
    wait_until: WaitUntil,
) -> None:
    def refused(*_given: object, **_options: object) -> None:
        raise ConnectionError("could not connect")

    job, worker = queue_final_training(epochs=2), Worker(settings, Shutdown())
    with monkeypatch.context() as away:
        away.setattr("fsspec.implementations.local.LocalFileSystem.mv", refused)
        assert worker.work_once() is Ending.ABANDONED
        left = store.get_job(job.id)
        assert (left.progress_done, left.attempts) == (2, 0)
        assert "artifacts does not answer: ConnectionError: could not connect" in (left.waiting_for or "")

    wait_until(lambda: worker.work_once() is Ending.SUCCEEDED)
    epochs = [event.data["epoch"] for event in store.events_after(job.id) if event.type == "epoch"]
    assert epochs == [1, 2], "none is trained again"


def test_jobs_of_workers_that_slept_as_well_are_not_taken_over(
    settings: Settings,
    store: Store,
    queue_meta_training: Callable[..., JobRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker(settings, Shutdown())
    assert worker.work_once() is None
    job = queue_meta_training()
    assert store.claim(job.kind, "another", 0, job_id=job.id) is not None
    monkeypatch.setattr(
        "services.dispatch.silent_runners.LONGEST_GAP", timedelta(0)
    )  # any gap is a suspension
    assert worker.work_once() is None
    assert store.get_job(job.id).lease_owner == "another"
    monkeypatch.setattr("services.dispatch.silent_runners.RENEWAL_SECONDS", 0.0)
    assert worker.work_once() is Ending.SUCCEEDED


def test_a_cancelled_final_training_is_let_go_with_its_state(
    settings: Settings, store: Store, queue_final_training: Callable[..., JobRecord], wait_until: WaitUntil
) -> None:
    job = queue_final_training(epochs=10_000, batch_size=2)  # hours
    process = _start_worker(settings)
    wait_until(lambda: store.get_job(job.id).state is JobState.RUNNING)
    time.sleep(1)
    store.act(job.id, Action.CANCEL)
    wait_until(lambda: store.get_job(job.id).lease_owner is None)
    process.terminate()
    process.wait(60)
    assert store.get_job(job.id).state is JobState.CANCELLED
    assert not (settings.data_dir / "final-training" / job.id).exists()


def test_a_database_that_is_away_for_a_moment_costs_a_job_nothing(
    settings: Settings,
    store: Store,
    queue_meta_training: Callable[..., JobRecord],
    database_away: Callable[[], AbstractContextManager[None]],
    wait_until: WaitUntil,
) -> None:
    settings = settings.model_copy(update={"lease_seconds": 60})
    job = queue_meta_training(meta_steps=60)
    endings: list[Ending | None] = []
    worker = Worker(settings, Shutdown())
    thread = threading.Thread(target=lambda: endings.append(worker.work_once()))
    thread.start()
    wait_until(lambda: store.get_job(job.id).progress_done > 0)
    with structlog.testing.capture_logs() as logs, database_away():
        worker._store.close()
        wait_until(lambda: any(log["event"] == "waiting for the database" for log in logs))
    thread.join(120)
    assert endings == [Ending.SUCCEEDED]
    assert store.get_job(job.id).attempts == 1


def test_what_ended_jobs_left_behind_is_cleared_away(
    settings: Settings, store: Store, queue_meta_training: Callable[..., JobRecord]
) -> None:
    kept, cancelled = queue_meta_training(meta_steps=7).id, queue_meta_training().id
    store.act(kept, Action.PAUSE)
    store.act(cancelled, Action.CANCEL)
    folders = {name: settings.data_dir / "meta-training" / name for name in (kept, cancelled, "deleted")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    shutdown = Shutdown()
    shutdown.requested = True
    Worker(settings, shutdown).run()
    assert [name for name, folder in folders.items() if folder.exists()] == [kept]


def test_a_data_folder_that_cannot_be_tidied_up_ends_no_worker(
    settings: Settings, queue_final_training: Callable[..., JobRecord]
) -> None:
    queue_final_training(epochs=1)
    (settings.data_dir / "database-id").mkdir(parents=True)  # where a file should be
    assert Worker(settings, Shutdown()).work_once() is Ending.SUCCEEDED


def test_a_cancelled_meta_training_is_let_go_with_its_state(
    settings: Settings, store: Store, queue_meta_training: Callable[..., JobRecord], wait_until: WaitUntil
) -> None:
    job = queue_meta_training(meta_steps=100_000)
    endings: list[Ending | None] = []
    worker = threading.Thread(target=lambda: endings.append(Worker(settings, Shutdown()).work_once()))
    worker.start()
    wait_until(lambda: store.get_job(job.id).progress_done > 0)
    cancelled_at = time.monotonic()
    store.act(job.id, Action.CANCEL)
    worker.join(60)
    assert time.monotonic() - cancelled_at < 60
    assert endings == [Ending.LET_GO]
    assert store.get_job(job.id).state is JobState.CANCELLED
    assert not (settings.data_dir / "meta-training" / job.id).exists()


def test_data_that_are_not_there_fail_the_job_before_any_training(
    settings: Settings, store: Store, queue_meta_training: Callable[..., JobRecord]
) -> None:
    job = queue_meta_training({"name": "mnist", "path": "/nowhere/mnist"})
    assert Worker(settings, Shutdown()).work_once() is Ending.FAILED
    job = store.get_job(job.id)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert "/nowhere/mnist" in job.error["detail"]
    assert job.progress_done == 0


def test_a_meta_training_that_diverged_leaves_what_it_had_learned(
    settings: Settings,
    backend: Backend,
    store: Store,
    queue_meta_training: Callable[..., JobRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def diverging(state: MetaTrainingState, *given: Any, **options: Any) -> MetaStepOutcome:
        loss = math.nan if state.step == 2 else 1.0
        require_finite(loss, "outer loss", "a learner", state.step, given[2])
        return meta_step(state, *given, **options)

    monkeypatch.setattr("gtn_core.meta_training.meta_step", diverging)
    job = queue_meta_training(gradient_clipping=False)
    assert Worker(settings, Shutdown()).work_once() is Ending.FAILED
    job = store.get_job(job.id)
    assert job.error is not None
    assert job.result is not None
    assert job.error["type"] == "urn:gtn-nas:problem:meta-training-diverged"
    assert "gradient_clipping" in job.error["remedy"]
    left = store.get_checkpoint(job.result["checkpoint_id"])
    assert left.id[:16] in job.error["detail"]
    assert left.name == "mine (diverged)"
    assert load_checkpoint(backend.artifacts, left.id).manifest.metrics["diverged_at_meta_step"] == 3


def test_a_training_that_failed_goes_on_from_where_it_was_when_it_is_resumed(
    settings: Settings,
    store: Store,
    queue_meta_training: Callable[..., JobRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a restart on which the disk of the data came up late."""
    job, shutdown = queue_meta_training(meta_steps=6, save_every=1), Shutdown()
    append = Store.append_event

    def append_and_stop(store: Store, job_id: str, event_type: str, *more: Any, **options: Any) -> None:
        append(store, job_id, event_type, *more, **options)
        shutdown.requested |= event_type == "meta_step"

    def gone(*_given: object, **_options: object) -> None:
        raise DatasetError("no digits")

    monkeypatch.setattr("services.meta_worker.meta_training_job.EVENT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "append_event", append_and_stop)
        assert Worker(settings, shutdown).work_once() is Ending.LET_GO
        patch.setattr("services.meta_worker.meta_training_job.load_dataset", gone)
        assert Worker(settings, Shutdown()).work_once() is Ending.FAILED
    store.act(job.id, Action.RESUME)
    assert Worker(settings, Shutdown()).work_once() is Ending.SUCCEEDED
    steps = [event.data["step"] for event in store.events_after(job.id) if event.type == "meta_step"]
    assert steps == [1, 2, 3, 4, 5, 6], "each once"


def test_what_a_failed_training_needs_is_kept_for_a_month(
    settings: Settings,
    store: Store,
    queue_meta_training: Callable[..., JobRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = queue_meta_training({"name": "mnist", "path": "/nowhere/mnist"})
    folder = settings.data_dir / "meta-training" / job.id
    folder.mkdir(parents=True)
    assert Worker(settings, Shutdown()).work_once() is Ending.FAILED
    assert folder.exists()
    monkeypatch.setattr("services.meta_worker.job_state.FAILED_KEPT", timedelta(0))
    shutdown = Shutdown()
    shutdown.requested = True
    Worker(settings, shutdown).run()
    assert not folder.exists()


def test_a_job_on_which_worker_after_worker_dies_is_given_up(
    settings: Settings, store: Store, queue_meta_training: Callable[..., JobRecord]
) -> None:
    job = queue_meta_training()
    for number in range(settings.max_attempts):
        assert store.claim(JobKind.META_TRAINING, f"worker {number}", 0.05) is not None
        time.sleep(0.1)
        store.requeue_expired()
    assert Worker(settings, Shutdown()).work_once() is Ending.FAILED
    error = store.get_job(job.id).error
    assert error is not None
    assert "3 workers died" in error["detail"]


def test_a_worker_without_a_database_says_so_in_one_line_before_pytorch_is_loaded(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('too early')")
    environment = child_environment(settings) | {"GTN_NAS_DATABASE_URL": "sqlite:////nowhere/gtn-nas.db"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])
    worker = subprocess.run(
        [sys.executable, "-m", "services.meta_worker"], env=environment, capture_output=True, text=True
    )
    assert worker.returncode == 1
    assert len(worker.stderr.strip().splitlines()) == 1
    assert "/nowhere" in worker.stderr


@pytest.mark.parametrize(("job", "exit_code"), [([], 1), (["a1"], EXIT_CODES[Ending.ABANDONED])])
def test_a_worker_whose_schema_is_not_the_databases_leaves_its_job_in_the_queue(
    job: list[str], exit_code: int, unmigrated: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "services.meta_worker", *job]
    worker = subprocess.run(command, env=unmigrated, capture_output=True, text=True)
    assert worker.returncode == exit_code
    assert len(worker.stderr.strip().splitlines()) == 1
    assert "gtn-nas db upgrade" in worker.stderr


def _start_worker(settings: Settings) -> subprocess.Popen[bytes]:
    return start(
        [sys.executable, "-m", "services.meta_worker"],
        environment=child_environment(settings),
        log_path=settings.data_dir / "worker.log",
    )
