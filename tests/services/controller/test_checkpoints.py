"""Checkpoints over HTTP: verified on the way in, the same bytes on the way out."""

import errno
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest
from fastapi.testclient import TestClient
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from gtn_core import FrozenCheckpoint
from services.artifacts import ArtifactStore
from services.checkpoints import load_checkpoint
from services.controller import limits
from services.settings import Settings
from services.store import Store

OCTET_STREAM = {"Content-Type": "application/octet-stream"}


def upload(http: TestClient, data: bytes) -> Any:
    return http.post("/v1/checkpoints", content=data, headers=OCTET_STREAM)


def test_a_checkpoint_is_stored_once_under_the_hash_of_its_content(
    http: TestClient, checkpoint: FrozenCheckpoint
) -> None:
    data = checkpoint.to_bytes()
    first, again = upload(http, data), upload(http, data)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["id"] == hashlib.sha256(data).hexdigest() == checkpoint.id
    assert first.json()["size_bytes"] == len(data)
    assert first.headers["Location"] == f"/v1/checkpoints/{checkpoint.id}"
    assert [item["id"] for item in http.get("/v1/checkpoints").json()["items"]] == [checkpoint.id]


def test_a_form_with_a_file_does_as_well(http: TestClient, checkpoint: FrozenCheckpoint) -> None:
    answer = http.post("/v1/checkpoints", files={"file": ("digits.gtn", checkpoint.to_bytes())})

    assert (answer.status_code, answer.json()["id"]) == (201, checkpoint.id)


def test_the_manifest_and_the_file_come_back(
    http: TestClient, checkpoint: FrozenCheckpoint, checkpoint_id: str
) -> None:
    shown = http.get(f"/v1/checkpoints/{checkpoint_id}").json()
    downloaded = http.get(f"/v1/checkpoints/{checkpoint_id}/download")

    assert shown["manifest"] == checkpoint.manifest.model_dump(mode="json")
    assert FrozenCheckpoint.from_bytes(downloaded.content).id == checkpoint_id
    assert downloaded.headers["Content-Disposition"] == f'attachment; filename="{checkpoint_id[:12]}.gtn"'
    assert downloaded.headers["ETag"] == f'"{checkpoint_id}"'


def test_a_download_is_never_in_memory_as_a_whole(
    http: TestClient, checkpoint: FrozenCheckpoint, checkpoint_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole(*_given: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(ArtifactStore, "get", whole)
    path = f"/v1/checkpoints/{checkpoint_id}/download"
    downloaded, described = http.get(path), http.head(path)

    assert downloaded.content == checkpoint.to_bytes()
    assert described.headers["Content-Length"] == str(len(downloaded.content))
    assert "Content-Length" in downloaded.headers


def test_a_damaged_file_is_told_before_any_of_it_is_sent(
    http: TestClient, checkpoint_id: str, settings: Settings
) -> None:
    folder = Path(settings.resolved_artifacts_url, checkpoint_id[:2], checkpoint_id[2:4])
    (folder / checkpoint_id).write_bytes(b"damaged")

    answer = http.get(f"/v1/checkpoints/{checkpoint_id}/download")

    assert answer.status_code >= 400
    assert "corrupt" in answer.text


def test_of_checkpoints_that_are_shown_one_at_a_time_is_in_memory_and_each_is_read_once(
    http: TestClient, checkpoint_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = [0]

    def load(artifacts: ArtifactStore, identifier: str) -> FrozenCheckpoint:
        at_once.append(at_once[-1] + 1)
        time.sleep(0.05)  # let the others in
        at_once.append(at_once[-1] - 1)
        return load_checkpoint(artifacts, identifier)

    monkeypatch.setattr("services.controller.pictures.load_checkpoint", load)
    paths = [f"/v1/checkpoints/{checkpoint_id}/{part}" for part in ("curriculum", "curves.png")]
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(http.get, [*paths, *paths]))
    read = len(at_once)
    answers += [http.get(path) for path in paths]

    assert {answer.status_code for answer in answers} == {200}
    assert max(at_once) == 1
    assert len(at_once) == read


@pytest.mark.parametrize("path", ["", "/download", "/samples.png", "/curves.png"])
def test_what_the_client_has_by_its_etag_is_not_sent_again(
    http: TestClient, checkpoint_id: str, path: str
) -> None:
    first = http.get(f"/v1/checkpoints/{checkpoint_id}{path}")
    headers = {"If-None-Match": first.headers["ETag"]}
    again = http.get(f"/v1/checkpoints/{checkpoint_id}{path}", headers=headers)
    other = http.get(f"/v1/checkpoints/{checkpoint_id}{path}", headers={"If-None-Match": '"other"'})

    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert (other.status_code, other.content) == (200, first.content)
    for answer in (first, again):
        assert answer.headers["Cache-Control"] == "private, no-cache", "a key opened it"


def test_an_upload_repeated_with_its_key_gets_the_first_answer(
    http: TestClient, checkpoint: FrozenCheckpoint
) -> None:
    data = checkpoint.to_bytes()
    key = {"Idempotency-Key": "upload-1"}
    first = http.post("/v1/checkpoints", files={"file": ("a.gtn", data)}, headers=key)
    form = http.post("/v1/checkpoints", files={"file": ("a.gtn", data)}, headers=key)
    plain = http.post("/v1/checkpoints", content=data, headers=OCTET_STREAM | key)
    renamed = checkpoint.manifest.model_copy(update={"seed": checkpoint.manifest.seed + 1})
    other = save_tensors(load_tensors(data), metadata={"gtn": renamed.model_dump_json()})
    conflict = http.post("/v1/checkpoints", content=other, headers=OCTET_STREAM | key)

    assert first.status_code == 201
    for repeated in (form, plain):
        assert (repeated.status_code, repeated.json()) == (201, first.json())
    assert conflict.status_code == 422
    assert conflict.json()["type"] == "urn:gtn-nas:problem:idempotency-conflict"


@pytest.mark.parametrize("given", ['"{id}"', 'W/"{id}"', '"x", "{id}"', "*"])
def test_a_known_file_is_not_sent_again(http: TestClient, checkpoint_id: str, given: str) -> None:
    path = f"/v1/checkpoints/{checkpoint_id}/download"
    answer = http.get(path, headers={"If-None-Match": given.format(id=checkpoint_id)})

    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize("name", ["samples", "curves"])
def test_a_picture_is_a_png(http: TestClient, checkpoint_id: str, name: str) -> None:
    first = http.get(f"/v1/checkpoints/{checkpoint_id}/{name}.png")
    again = http.get(f"/v1/checkpoints/{checkpoint_id}/{name}.png")

    assert first.headers["Content-Type"] == "image/png"
    assert first.content.startswith(b"\x89PNG\r\n")
    assert first.content == again.content


def _with_nan(data: bytes) -> bytes:
    checkpoint = FrozenCheckpoint.from_bytes(data)
    tensors = load_tensors(data)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    return save_tensors(tensors, metadata={"gtn": checkpoint.manifest.model_dump_json()})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "safetensors"),
        (lambda data: data[:-1], "safetensors"),
        (lambda data: data[:100], "safetensors"),
        (lambda data: b"\x80\x04cposix\nsystem\n", "safetensors"),
        (lambda data: b"\xff" * 8 + data[8:], "safetensors"),
        (lambda data: save_tensors(load_tensors(data)), "manifest"),
        (_with_nan, "not finite"),
    ],
    ids=["empty", "truncated", "header only", "pickle", "lying header", "no manifest", "nan"],
)
def test_what_is_not_a_whole_checkpoint_is_refused(
    http: TestClient, store: Store, checkpoint: FrozenCheckpoint, damage: Any, reason: str
) -> None:
    answer = upload(http, damage(checkpoint.to_bytes()))

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "file"
    assert reason in error["message"]
    assert store.list_checkpoints().items == []


def test_an_upload_that_is_too_large(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CHECKPOINT_BYTES", 1000)
    monkeypatch.setattr(limits, "MULTIPART_ALLOWANCE", 0)

    assert upload(http, b"x" * 1001).status_code == 413
    assert http.post("/v1/checkpoints", files={"file": ("x", b"x" * 1001)}).status_code == 413
    chunks = http.post("/v1/checkpoints", content=iter([b"x" * 600, b"x" * 600]), headers=OCTET_STREAM)
    assert (chunks.status_code, chunks.headers["Content-Type"]) == (413, "application/problem+json")
    assert upload(http, b"x" * 1000).status_code == 422


def test_an_upload_that_the_disk_has_no_room_for(
    http: TestClient, checkpoint: FrozenCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ArtifactStore, "put", full)
        answer = upload(http, checkpoint.to_bytes())
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (507, "urn:gtn-nas:problem:disk-full")
    assert "No space left on device" in problem["detail"]
    assert "GTN_NAS_ARTIFACTS_URL" in problem["remedy"]
    assert http.get("/v1/checkpoints").json()["items"] == []
    assert upload(http, checkpoint.to_bytes()).status_code == 201


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", None])
def test_an_upload_of_another_media_type(http: TestClient, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = http.post("/v1/checkpoints", content=b"{}", headers=headers)

    assert answer.status_code == 415
    assert "application/octet-stream" in answer.json()["remedy"]


@pytest.mark.parametrize("parts", [{"other": ("x", b"1")}, {"file": ("x", b"1"), "more": ("y", b"2")}])
def test_a_form_with_other_parts(http: TestClient, parts: Any) -> None:
    assert http.post("/v1/checkpoints", files=parts).status_code in {400, 422}


@pytest.mark.parametrize("path", ["", "/download", "/samples.png", "/curves.png"])
@pytest.mark.parametrize("checkpoint_id", ["nosuch", "..", "%2e%2e%2fgtn-nas.db", "0" * 64, "a%00b"])
def test_an_unknown_checkpoint_is_not_found(http: TestClient, checkpoint_id: str, path: str) -> None:
    assert http.get(f"/v1/checkpoints/{checkpoint_id}{path}").status_code == 404


def test_a_checkpoint_of_data_out_of_bounds_cannot_be_searched_with(
    http: TestClient, store: Store, checkpoint: FrozenCheckpoint
) -> None:
    """Who uploads a manifest must not make the runner read any folder of the machine."""
    dataset = checkpoint.manifest.dataset.model_copy(update={"name": "folder", "path": "/etc"})
    manifest = checkpoint.manifest.model_copy(update={"dataset": dataset})
    data = save_tensors(load_tensors(checkpoint.to_bytes()), metadata={"gtn": manifest.model_dump_json()})
    checkpoint_id = upload(http, data).json()["id"]

    answer = http.post("/v1/searches", json={"checkpoint_id": checkpoint_id})

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["given"]) == ("checkpoint_id", checkpoint_id)
    assert "its data set.path: outside the folders" in error["message"]


def test_data_that_a_checkpoint_cannot_place_are_asked_for_before_anything_is_stored(
    http: TestClient, store: Store, checkpoint: FrozenCheckpoint
) -> None:
    dataset = checkpoint.manifest.dataset.model_copy(update={"name": "cifar10", "path": None})
    manifest = checkpoint.manifest.model_copy(update={"dataset": dataset})
    data = save_tensors(load_tensors(checkpoint.to_bytes()), metadata={"gtn": manifest.model_dump_json()})
    checkpoint_id = upload(http, data).json()["id"]

    answer = http.post("/v1/searches", json={"checkpoint_id": checkpoint_id})
    assert answer.status_code == 422
    assert "datasets/cifar10" in answer.text
