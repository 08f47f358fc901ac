"""Uploads that are almost checkpoints: refused or understood, no 5xx, no hang, and nothing left behind."""

import json
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from gtn_core import CheckpointError, FrozenCheckpoint
from gtn_core.curriculum import LearnedCurriculum
from services.store import Store

OCTET_STREAM = {"Content-Type": "application/octet-stream"}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def refused_or_understood(http: TestClient, store: Store, data: bytes) -> None:
    """Upload, and if that works use what was stored as a user would."""
    before = {record.id for record in store.list_checkpoints().items}
    answer = http.post("/v1/checkpoints", content=data, headers=OCTET_STREAM)

    assert answer.status_code in {200, 201, 422}, answer.text
    after = {record.id for record in store.list_checkpoints().items}
    if answer.status_code == 422:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert after == before
        return
    identifier = answer.json()["id"]
    assert after == before | {identifier}
    for path in ("", "/download", "/samples.png", "/curves.png"):
        assert http.get(f"/v1/checkpoints/{identifier}{path}").status_code in {200, 422}, path
    search = {"checkpoint_id": identifier, "max_candidates": 1}
    checked = http.post("/v1/searches", json=search, params={"validate_only": True})
    assert checked.status_code in {200, 422}, checked.text


@given(data=st.data())
def test_bytes_that_were_changed(
    http: TestClient, store: Store, checkpoint: FrozenCheckpoint, data: st.DataObject
) -> None:
    content = bytearray(checkpoint.to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        # Most of a file is weights; what is fragile comes first.
        place = data.draw(st.integers(0, 200) | st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([None, None, 0, 7, 8, 9, len(content) // 2, len(content) - 1]))

    refused_or_understood(http, store, bytes(content[:cut]))


def _mutated(value: Any, draw: Callable[..., Any]) -> Any:
    """The value with one of its leaves, or one of its branches, replaced by something else."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: _mutated(value[key], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _mutated(value[place], draw), *value[place + 1 :]]
    if isinstance(value, int | float) and draw(st.booleans()):
        return draw(st.sampled_from([0, 1, -1, 2**16, 2**31, 2**63, 10**30, 0.5, float("nan"), float("inf")]))
    return draw(json_values)


@given(data=st.data())
def test_manifests_that_say_something_else(
    http: TestClient, store: Store, checkpoint: FrozenCheckpoint, data: st.DataObject
) -> None:
    manifest = _mutated(checkpoint.manifest.model_dump(mode="json"), data.draw)
    tensors = load_tensors(checkpoint.to_bytes())

    refused_or_understood(http, store, save_tensors(tensors, metadata={"gtn": json.dumps(manifest)}))


@given(data=st.data())
def test_tensors_of_other_names_types_shapes_and_values(
    http: TestClient, store: Store, checkpoint: FrozenCheckpoint, data: st.DataObject
) -> None:
    tensors = load_tensors(checkpoint.to_bytes())
    name = data.draw(st.sampled_from(sorted(tensors)))
    tensor = tensors[name].clone()
    match data.draw(st.sampled_from(["drop", "rename", "reshape", "cast", "value", "extra"])):
        case "drop":
            del tensors[name]
        case "rename":
            tensors[data.draw(st.text(max_size=10))] = tensors.pop(name)
        case "reshape":
            tensors[name] = tensor.reshape(data.draw(st.sampled_from([(-1,), (1, *tensor.shape)])))
        case "cast":
            tensors[name] = tensor.to(data.draw(st.sampled_from([torch.float16, torch.float64, torch.int8])))
        case "value":
            values = [float("nan"), float("inf"), -float("inf"), 1e38, -1e38, 0.0]
            tensor.view(-1)[-1] = data.draw(st.sampled_from(values))
            tensors[name] = tensor
        case "extra":
            tensors["more"] = torch.zeros(3)
    metadata = {"gtn": checkpoint.manifest.model_dump_json()}

    refused_or_understood(http, store, save_tensors(tensors, metadata=metadata))


def _header(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + body


def _zip_bomb() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/passwd", b"0" * 10_000_000)
    return buffer.getvalue()


HUGE = {"w": {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, 4]}}
OVERFLOW = {"w": {"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 0]}}
OVERLAP = {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"}
HOLE = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}


@pytest.mark.parametrize(
    "data",
    [
        _zip_bomb(),
        b"PK\x03\x04",
        b"\x1f\x8b\x08" + b"0" * 100,
        b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94",
        struct.pack("<Q", 2**63),
        struct.pack("<Q", 10**8),
        _header(b"{}"),
        _header(b"[]"),
        _header(b"{" * 1000),
        _header(b'{"__metadata__": {"gtn": 1}}'),
        _header(b'{"__metadata__": null}'),
        _header(json.dumps({"__metadata__": {"gtn": "[" * 100_000}}).encode()),
        _header(json.dumps({"__metadata__": {"gtn": '{"format_version": 1, "a": ' * 50_000}}).encode()),
        _header(json.dumps({"__metadata__": {"gtn": '{"format_version": ' + "9" * 5000 + "}"}}).encode()),
        _header(json.dumps(HUGE).encode(), b"\0" * 4),
        _header(json.dumps(OVERFLOW).encode()),
        _header(json.dumps(OVERLAP).encode(), b"\0" * 4),
        _header(json.dumps(HOLE).encode(), b"\0" * 8),
    ],
)
def test_files_made_to_do_harm(http: TestClient, store: Store, data: bytes) -> None:
    with pytest.raises(CheckpointError):
        FrozenCheckpoint.from_bytes(data)
    refused_or_understood(http, store, data)
    assert store.list_checkpoints().items == []


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"accuracy": float("nan")}},
        {"metrics": {"accuracy": float("inf")}},
        {"normalization": {"mean": [0.1, 0.2], "std": [1.0]}},
        {"normalization": {"mean": [0.1], "std": [0.0]}},
        {"normalization": {"mean": [float("nan")], "std": [1.0]}},
        {"class_names": ["only", "three", "names"]},
        {"image_shape": [1, 0, 8]},
        {"image_shape": [1, 10**9, 10**9]},
        {"num_classes": 10**9},
        {"config": {"inner_steps": 10**9}},
        {"seed": 10**40},
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    http: TestClient, store: Store, checkpoint: FrozenCheckpoint, change: dict[str, Any]
) -> None:
    manifest = checkpoint.manifest.model_dump(mode="json") | change
    data = save_tensors(load_tensors(checkpoint.to_bytes()), metadata={"gtn": json.dumps(manifest)})

    answer = http.post("/v1/checkpoints", content=data, headers=OCTET_STREAM)

    assert answer.status_code == 422, answer.text
    assert "manifest" in answer.json()["detail"]
    assert store.list_checkpoints().items == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\0b", "x" * 5000, ""])
def test_the_name_of_an_uploaded_file_means_nothing(
    http: TestClient, checkpoint: FrozenCheckpoint, name: str
) -> None:
    answer = http.post("/v1/checkpoints", files={"file": (name, checkpoint.to_bytes())})

    assert answer.status_code in {200, 201, 400, 422}


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"inner_steps": 1024, "batch_size": 4096}},
        {"image_shape": (1, 1, 8192)},
        {"image_shape": (1, 4096, 4096)},
    ],
    ids=["a curriculum of terabytes", "an image that is a line", "an image that is a poster"],
)
def test_a_small_file_cannot_claim_a_large_memory(
    http: TestClient, checkpoint: FrozenCheckpoint, change: dict[str, Any]
) -> None:
    """A whole and matching checkpoint, small to send, that would be synthesised into far more."""
    small = {"curriculum": "none", "generator_hidden": 1, "generator_channels": (1, 1), "latent_size": 1}
    manifest = checkpoint.manifest.model_copy(
        update={
            **{name: value for name, value in change.items() if name != "config"},
            "config": checkpoint.manifest.config.model_copy(update={**small, **change.get("config", {})}),
            "num_classes": 2,
            "class_names": ("a", "b"),
        }
    )
    curriculum = LearnedCurriculum(manifest.config, image_shape=manifest.image_shape, num_classes=2)
    data = save_tensors(dict(curriculum.state_dict()), metadata={"gtn": manifest.model_dump_json()})

    uploaded = http.post("/v1/checkpoints", content=data, headers=OCTET_STREAM)
    assert uploaded.status_code == 201, uploaded.text
    picture = http.get(f"/v1/checkpoints/{uploaded.json()['id']}/samples.png")

    assert picture.status_code == 422
    assert "too large" in picture.json()["detail"]
