"""`gtn-nas demo`: the main job on real data, through the same services and the same API as any other."""

import _thread
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from gtn_core import FrozenCheckpoint
from services.checkpoints import load_checkpoint_data
from services.cli.candidates import candidate_rows
from services.cli.console import advise, say
from services.cli.learning_speed import LearningSpeed, measure_learning_speed
from services.cli.progress import follow, succeeded
from services.cli.results import unpack
from services.cli.tables import Column, Rows, print_table
from services.client import Client, Job
from services.errors import ServiceError
from services.local_stack import LocalStack
from services.schemas import CandidateView, MetaTrainingView
from services.settings import Settings, sqlite_url
from services.shutdown import Shutdown
from services.wiring import load_settings

SEARCH_SPACE = {"name": "nasbench201", "channels": 8, "cells_per_stage": 1}
ALGORITHM = {"name": "regularized_evolution", "population_size": 15, "sample_size": 5}


def run_demo(*, data_dir: Path | None, output: Path, candidates: int) -> None:
    """Meta-train, search, rank, retrain and export on handwritten digits, and say how long each took."""
    times: dict[str, float] = {}
    with _folder(data_dir) as folder, _stack(_settings(folder), times) as stack:
        key = stack.settings.api_key
        with Client(stack.url, key.get_secret_value() if key else None) as client:
            with _timed(times, "meta-training"):
                checkpoint_id = _meta_train(client)
            with _timed(times, f"search, {candidates} candidates"):
                best = _search(client, checkpoint_id, candidates)
            with _timed(times, "final training of the best"):
                _done(client, client.retrain(best.id), "final training")
            with _timed(times, "export and proof"):
                _export(client, best, output)
            with _timed(times, "learning speed"):
                content = client.download_checkpoint(checkpoint_id)
                _compare(FrozenCheckpoint.from_bytes(content), stack.settings)
    _print_times(times)


@contextmanager
def _folder(data_dir: Path | None) -> Iterator[Path]:
    """The folder asked for, or a temporary one, which stays if something goes wrong: the logs are in it."""
    if data_dir is not None:
        yield data_dir
        return
    folder, keep = Path(tempfile.mkdtemp(prefix="gtn-nas-demo-")), False
    try:
        yield folder
    except Exception:
        keep = True
        advise(f"logs are in {folder / 'logs'}")
        raise
    finally:
        if not keep:
            shutil.rmtree(folder)


def _settings(folder: Path) -> Settings:
    """All state in one folder, on this machine alone, whatever the environment says."""
    return load_settings(
        data_dir=folder,
        database_url=sqlite_url(folder.absolute() / "gtn-nas.db"),
        artifacts_url=str(folder.absolute() / "artifacts"),
        host="127.0.0.1",
        port=0,
        ray_address="",
        ray_jobs_url="",
    )


@contextmanager
def _stack(settings: Settings, times: dict[str, float]) -> Iterator[LocalStack]:
    stack = LocalStack(settings, on_failure=_thread.interrupt_main)
    started, ended = time.perf_counter(), 0.0
    try:
        with stack:
            stack.wait_until_ready(Shutdown())
            times["start of the services"] = time.perf_counter() - started
            say(f"controller at {stack.url}, data in {settings.data_dir}")
            yield stack
            ended = time.perf_counter()
        times["shutdown"] = time.perf_counter() - ended
    except KeyboardInterrupt:
        if stack.failure is not None:
            raise ServiceError(stack.failure) from None
        raise


@contextmanager
def _timed(times: dict[str, float], phase: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    times[phase] = time.perf_counter() - started


def _done(client: Client, job: Job, description: str) -> Job:
    return succeeded(follow(client, job, description), description)


def _meta_train(client: Client) -> str:
    submitted = client.create_meta_training({"name": "digits"}, name="demo")
    ended = _done(client, submitted, "meta-training")
    assert isinstance(ended, MetaTrainingView)
    assert ended.checkpoint_id is not None
    say(f"checkpoint {ended.checkpoint_id}")
    return ended.checkpoint_id


def _search(client: Client, checkpoint_id: str, candidates: int) -> CandidateView:
    search = client.create_search(
        checkpoint_id=checkpoint_id,
        search_space=SEARCH_SPACE,
        algorithm=ALGORITHM,
        max_candidates=candidates,
        name="demo",
    )
    _done(client, search, "search")
    ranked = list(client.candidates(search.id, state="succeeded", limit=10))
    if not ranked:
        raise ServiceError(f"no candidate of search {search.id} could be scored")
    print_table(candidate_rows(ranked, title=f"the best of {candidates} architectures"))
    return ranked[0]


def _export(client: Client, best: CandidateView, output: Path) -> None:
    training = client.get_candidate(best.id).final_training
    assert training is not None
    say(f"best architecture {best.architecture.encoding}: test accuracy {training.test_accuracy:.2%}")
    unpack(client.export(best.id, "python"), output)
    model = output.absolute() / "model.py"
    # Isolated: neither this project nor the environment can lend the file anything but PyTorch.
    proof = subprocess.run(
        [sys.executable, "-I", str(model)], cwd="/", capture_output=True, text=True, check=False
    )
    if proof.returncode != 0:
        raise ServiceError(f"the exported {model} does not run: {proof.stderr.strip()}")
    say(f"exported to {output}; python -I {model} says:")
    say("\n".join(f"  {line}" for line in proof.stdout.splitlines()))


def _compare(checkpoint: FrozenCheckpoint, settings: Settings) -> None:
    torch.set_num_threads(1)  # these learners are too small to share
    splits = load_checkpoint_data(checkpoint, settings)
    rows: list[LearningSpeed] = measure_learning_speed(checkpoint, splits)
    say(f"learning speed of {rows[0].learners} fresh learners ({checkpoint.manifest.learner}):")
    columns = (Column("trained on"), Column("steps", right=True), Column("validation accuracy", right=True))
    cells = [(row.data, str(row.steps), f"{row.mean:.1%} ± {row.deviation:.1%}") for row in rows]
    print_table(Rows(columns, cells))


def _print_times(times: dict[str, float]) -> None:
    cells = [
        (phase, f"{seconds:.1f}") for phase, seconds in (times | {"in all": sum(times.values())}).items()
    ]
    print_table(Rows((Column("phase"), Column("seconds", right=True)), cells, title="measured times"))
