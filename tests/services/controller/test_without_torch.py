"""A controller of a cluster in a process that has neither PyTorch nor Ray: docker/controller.Dockerfile."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import gtn_core
from services.controller.serving import serve
from services.errors import ServiceError
from services.settings import Settings

WITHOUT_TORCH = """
import json, sys

for name in "torch", "ray", "optuna", "sklearn":  # what a slim image lacks is neither found nor imported
    sys.modules[name] = None
"""

SLIM = (
    WITHOUT_TORCH
    + """
from fastapi.testclient import TestClient
from services.controller.app import create_app
from services.settings import Settings
from services.dispatch.lanes import make_dispatcher
from services.wiring import make_store

settings = Settings(ray_jobs_url="http://127.0.0.1:9")
make_dispatcher(make_store(settings), settings)
answers = []
with TestClient(create_app(settings), base_url="http://127.0.0.1") as http:
    for method, path, options in json.load(sys.stdin):
        if "file" in options:
            options["content"] = open(options.pop("file"), "rb").read()
        answer = http.request(method, path, **options)
        is_json = "json" in answer.headers.get("content-type", "")
        answers.append([answer.status_code, answer.json() if is_json else len(answer.content)])
print(json.dumps(answers))
"""
)


SHIPPED = str(Path(gtn_core.__file__).parent / "presets" / "digits.gtn")


class Slim:
    """Requests to an application in such a process, over the data that the other fixtures made."""

    def __init__(self, settings: Settings) -> None:
        self._environment = os.environ | {
            "GTN_NAS_DATABASE_URL": settings.resolved_database_url,
            "GTN_NAS_DATA_DIR": str(settings.data_dir),
        }

    def __call__(self, *requests: tuple[str, str, dict[str, Any]]) -> list[list[Any]]:
        run = subprocess.run(
            [sys.executable, "-c", SLIM],
            input=json.dumps(requests),
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        answers: list[list[Any]] = json.loads(run.stdout.splitlines()[-1])
        return answers


@pytest.fixture
def slim(settings: Settings, http: TestClient) -> Slim:
    return Slim(settings)


def test_it_takes_and_lists_jobs_and_keeps_checkpoints(
    slim: Slim, http: TestClient, search_body: dict[str, Any], checkpoint_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "uploaded.gtn"
    file.write_bytes(http.get(f"/v1/checkpoints/{checkpoint_id}/download").content)
    broken = tmp_path / "broken.gtn"
    broken.write_bytes(file.read_bytes()[:-8])
    octets = {"content-type": "application/octet-stream"}
    report = {"checkpoint_id": checkpoint_id, "candidates": 5, "estimators": [{"name": "real_data"}]}
    answers = slim(
        ("POST", "/v1/searches", {"json": search_body}),
        ("POST", "/v1/searches?validate_only=true", {"json": search_body | {"estimator": {"name": "gnt"}}}),
        ("POST", "/v1/meta-trainings", {"json": {"dataset": {"name": "digits"}}}),
        ("POST", "/v1/fidelity-reports", {"json": report}),
        ("GET", "/v1/searches", {}),
        ("POST", "/v1/checkpoints", {"file": str(file), "headers": octets}),
        ("POST", "/v1/checkpoints", {"file": str(broken), "headers": octets}),
        ("GET", f"/v1/checkpoints/{checkpoint_id}/samples.png", {}),
        *(("GET", f"/v1/{kind}", {}) for kind in ("search-spaces", "algorithms", "estimators", "datasets")),
        ("GET", "/openapi.json", {}),
        ("GET", "/", {}),
        ("GET", "/healthz", {}),
    )
    statuses = [status for status, _ in answers]
    assert statuses == [201, 422, 201, 201, 200, 200, 422, 200, *[200] * 4, 200, 200, 200]
    assert "gtn, " in answers[1][1]["errors"][0]["expected"]
    assert [item["id"] for item in answers[4][1]["items"]] == [answers[0][1]["id"]]
    assert answers[7][1] > 1000


def test_it_gives_away_what_the_trainer_exported_and_says_what_it_cannot(
    slim: Slim, http: TestClient, request: pytest.FixtureRequest, trained_candidate: str
) -> None:
    path = f"/v1/candidates/{trained_candidate}"
    formats = ("python", "safetensors", "onnx")
    exports = [("GET", f"{path}/export?format={name}", {}) for name in formats]
    assert [status for status, _ in slim(*exports)] == [501, 501, 501]  # trained before there were archives

    request.getfixturevalue("archived_candidate")
    python, safetensors, onnx, page = slim(*exports, ("GET", f"/candidates/{trained_candidate}", {}))
    assert page[0] == 200
    assert python == [200, len(http.get(f"{path}/export?format=python").content)]
    assert safetensors == [200, len(b"weights")]
    assert (onnx[0], onnx[1]["type"]) == (501, "urn:gtn-nas:problem:needs-pytorch")
    assert "docs/cluster.md" in onnx[1]["remedy"]


@pytest.mark.parametrize(
    "arguments", [["demo"], ["up"], ["meta-worker"], ["fidelity", "--checkpoint", SHIPPED]]
)
def test_a_command_that_learns_says_in_one_line_that_it_cannot(
    arguments: list[str], settings: Settings
) -> None:
    code = f"{WITHOUT_TORCH}\nsys.argv[1:] = {arguments}\nfrom services.cli import main; main()"
    environment = os.environ | {
        "GTN_NAS_DATABASE_URL": settings.resolved_database_url,
        "GTN_NAS_DATA_DIR": str(settings.data_dir),
        "GTN_NAS_PORT": "0",
    }
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("gtn-nas: this needs torch, which is not installed here")
    assert "docs/cluster.md" in line


def test_without_a_cluster_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.controller.serving.find_spec", lambda _: None)
    with pytest.raises(ServiceError, match="set GTN_NAS_RAY_JOBS_URL, or install torch"):
        serve(Settings())


def test_a_controller_of_this_machine_does_not_load_it_either(settings: Settings, http: TestClient) -> None:
    program = f"""
import sys
from fastapi.testclient import TestClient
from services.controller.app import create_app
from services.settings import Settings

settings = Settings(data_dir={str(settings.data_dir)!r}, database_url={settings.resolved_database_url!r})
with TestClient(create_app(settings), base_url="http://127.0.0.1") as http:
    pages = "/", "/overview/cluster", "/searches", "/searches/new", "/v1/cluster", "/metrics"
    refused = [page for page in pages if http.get(page).status_code != 200]
assert not refused, refused
loaded = {{"torch", "ray", "sklearn"}} & set(sys.modules)
assert not loaded, loaded
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
