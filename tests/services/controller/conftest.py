"""A controller over a database of its own, with a real checkpoint in it."""

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient

from gtn_core import FrozenCheckpoint
from nas.architecture import Architecture
from nas.search_spaces import get_search_space
from nas.weights import weights_to_bytes
from services.artifacts import ArtifactStore
from services.checkpoints import store_checkpoint
from services.controller.app import create_app
from services.lifecycle import JobKind
from services.settings import Settings
from services.store import Store, open_store

LOOPBACK = "http://127.0.0.1:8000"
ENCODING = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|"
SPACE = {"name": "nasbench201", "channels": 4}


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Structlog's own default draws tracebacks with all local variables, which takes seconds."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ]
    )


@pytest.fixture
def app_database_url(sqlite_url: str) -> str:
    """SQLite; modules that want both engines override it with `database_url`."""
    return sqlite_url


@pytest.fixture
def settings(app_database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data", database_url=app_database_url, dataset_roots=(tmp_path / "datasets",)
    )


@pytest.fixture
def store(app_database_url: str) -> Iterator[Store]:
    """The same database as the controller's, as runners reach it."""
    with open_store(app_database_url) as store:
        yield store


@pytest.fixture
def artifacts(settings: Settings) -> ArtifactStore:
    return ArtifactStore(settings.resolved_artifacts_url)


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def http(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=LOOPBACK) as client:
        yield client


@pytest.fixture
def live_url(app: FastAPI, serving: Callable[[FastAPI], AbstractContextManager[str]]) -> Iterator[str]:
    """The same controller behind a real server, on a free port."""
    with serving(app) as url:
        yield url


@pytest.fixture
def checkpoint_id(store: Store, artifacts: ArtifactStore, checkpoint: FrozenCheckpoint) -> str:
    return store_checkpoint(store, artifacts, checkpoint).id


@pytest.fixture
def search_body(checkpoint_id: str) -> dict[str, Any]:
    """The smallest request for a search."""
    return {"checkpoint_id": checkpoint_id, "search_space": SPACE, "max_candidates": 5}


@pytest.fixture
def search_id(http: TestClient, search_body: dict[str, Any]) -> str:
    """A queued search."""
    answer = http.post("/v1/searches", json=search_body)
    assert answer.status_code == 201, answer.text
    identifier: str = answer.json()["id"]
    return identifier


@pytest.fixture
def candidate_of_a_gone_space(store: Store, search_id: str, succeed: Callable[..., None]) -> str:
    """A scored candidate of a search whose search space is not installed any more; its accuracy is 0.5."""
    request = store.get_job(search_id).request | {"search_space": {"name": "uninstalled"}}
    gone = store.create_job(
        JobKind.SEARCH, name="", request=request, subject_id=request["checkpoint_id"], progress_total=5
    )
    assert store.claim(JobKind.SEARCH, "runner", 60, job_id=gone.id)
    succeed(gone.id, 0, accuracy=0.5)
    return f"{gone.id}-0"


@pytest.fixture
def scored_search(
    store: Store, search_id: str, succeed: Callable[..., None], fail: Callable[..., None]
) -> str:
    """A running search: candidates 0 to 2 are scored, 2 the most accurate and 1 the smallest; 3 failed."""
    assert store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
    succeed(search_id, 0, accuracy=0.5, params=300, flops=3000)
    succeed(search_id, 1, accuracy=0.4, params=100, flops=1000)
    succeed(search_id, 2, accuracy=0.9, params=200, flops=2000, gradient_norm=1.5)
    fail(search_id, 3)
    return search_id


def fields(answer: Any) -> list[str]:
    """The fields that a problem names."""
    return [error["field"] for error in answer.json()["errors"]]


@pytest.fixture
def trained_candidate(
    http: TestClient,
    store: Store,
    artifacts: ArtifactStore,
    checkpoint: FrozenCheckpoint,
    search_id: str,
) -> str:
    """A candidate of a real architecture with weights that a final training has left."""
    manifest = checkpoint.manifest
    space = get_search_space(**store.get_job(search_id).request["search_space"])
    network = space.build(
        Architecture("nasbench201", ENCODING),
        image_shape=manifest.image_shape, num_classes=manifest.num_classes, seed=7,
    )  # fmt: skip
    store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
    store.add_candidate(
        "runner", search_id, 0, space="nasbench201", encoding=ENCODING, canonical_hash="hash", seed=0
    )
    metrics = {"accuracy": 0.5, "loss": 1.0, "params": 1, "flops": 1, "seconds": 0.1}
    store.finish_candidate("runner", search_id, 0, metrics=metrics)
    job = http.post(f"/v1/candidates/{search_id}-0/retrain").json()
    store.claim(JobKind.FINAL_TRAINING, "worker", 60, job_id=job["id"])
    weights = artifacts.put(weights_to_bytes(network))
    result = {"test_accuracy": 0.97, "validation_accuracy": 0.98, "weights": weights}
    store.finish(job["id"], "worker", result=result)
    return f"{search_id}-0"


@pytest.fixture
def archived_candidate(
    http: TestClient, store: Store, artifacts: ArtifactStore, trained_candidate: str
) -> str:
    """Such a candidate whose later final training left an archive as well: exports are not made anew."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writing:
        writing.writestr("model.safetensors", b"weights")
    job = http.post(f"/v1/candidates/{trained_candidate}/retrain").json()
    store.claim(JobKind.FINAL_TRAINING, "worker", 60, job_id=job["id"])
    result = {"weights": artifacts.put(b"plain weights"), "archive": artifacts.put(archive.getvalue())}
    store.finish(job["id"], "worker", result=result)
    return trained_candidate
