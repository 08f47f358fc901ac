"""Candidates over HTTP: ranked pages, filters, Pareto fronts, final training, export."""

import io
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from threading import BoundedSemaphore, Event
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from psutil import NoSuchProcess, Process
from safetensors.torch import load as load_tensors

from services.artifacts import ArtifactStore
from services.controller import exports
from services.lifecycle import JobKind
from services.store import Store

from .conftest import fields

ENCODING = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|"


def numbers(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [candidate["number"] for candidate in answer.json()["items"]]


def test_candidates_are_ranked_by_accuracy(http: TestClient, scored_search: str) -> None:
    items = http.get(f"/v1/searches/{scored_search}/candidates").json()["items"]

    assert [(item["number"], item["rank"]) for item in items] == [(2, 1), (0, 2), (1, 3), (3, None)]
    best = items[0]
    assert best["id"] == f"{scored_search}-2"
    assert best["search_id"] == scored_search
    assert best["state"] == "succeeded"
    encoding = "|none~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    assert best["architecture"] == {"space": "nasbench201", "encoding": encoding}
    assert best["metrics"] == {
        "accuracy": 0.9, "loss": 1.0, "params": 200, "flops": 2000, "seconds": 0.25, "gradient_norm": 1.5,
    }  # fmt: skip
    assert best["error"] is best["final_training"] is None
    assert items[3]["state"] == "failed"
    assert items[3]["metrics"] is None
    assert items[3]["error"]["title"] == "out of memory"


def test_candidates_are_ranked_by_what_their_search_works_for(
    http: TestClient, store: Store, search_body: dict[str, Any], succeed: Callable[..., None]
) -> None:
    body = search_body | {"estimator": {"name": "ensemble"}}
    search_id = http.post("/v1/searches", json=body).json()["id"]
    store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
    for number, score in enumerate((-5.0, -1.0, -3.0)):
        succeed(search_id, number, accuracy=0.9 - number / 10, score=score, reward=score)

    path = f"/v1/searches/{search_id}/candidates"
    items = http.get(path).json()["items"]
    assert [(item["number"], item["rank"]) for item in items] == [(1, 1), (2, 2), (0, 3)]
    assert numbers(http.get(path, params={"order_by": "-rank"})) == [0, 2, 1]
    assert numbers(http.get(path, params={"order_by": "-accuracy"})) == [0, 1, 2]
    assert http.get(f"/v1/searches/{search_id}").json()["best"]["number"] == 1
    csv = http.get(f"/v1/searches/{search_id}/download?format=csv").text.splitlines()
    assert [line.split(",")[1:3] for line in csv[1:]] == [["1", "1"], ["2", "2"], ["0", "3"]]
    table = http.get(f"/searches/{search_id}/table").text
    assert table.index("-1.000") < table.index("-3.000") < table.index("-5.000")
    assert http.get("/v1/candidates", params={"order_by": "rank"}).status_code == 422


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"order_by": "rank", "state": "succeeded"}, [2, 0, 1]),
        ({"order_by": "-accuracy", "state": "succeeded"}, [2, 0, 1]),
        ({"order_by": "accuracy", "state": "succeeded"}, [1, 0, 2]),
        ({"order_by": "params", "state": "succeeded"}, [1, 2, 0]),
        ({"order_by": "-flops", "state": "succeeded"}, [0, 2, 1]),
        ({"order_by": "-number"}, [3, 2, 1, 0]),
        ({"state": "failed"}, [3]),
        ({"max_params": 200}, [2, 1]),
        ({"max_flops": 1000}, [1]),
        ({"min_accuracy": 0.45}, [2, 0]),
        ({"max_params": 2**64}, [2, 0, 1]),
    ],
)
def test_candidates_are_ordered_and_filtered(
    http: TestClient, scored_search: str, query: dict[str, Any], expected: list[int]
) -> None:
    assert numbers(http.get(f"/v1/searches/{scored_search}/candidates", params=query)) == expected


@pytest.mark.parametrize("order_by", ["-accuracy", "accuracy", "params", "-created_at", "number"])
def test_pages_hold_every_candidate_once(http: TestClient, scored_search: str, order_by: str) -> None:
    path, query = f"/v1/searches/{scored_search}/candidates", {"order_by": order_by}
    whole = numbers(http.get(path, params=query))

    seen, cursor = [], None
    for _ in range(4):
        answer = http.get(path, params=query | {"limit": 1} | ({"cursor": cursor} if cursor else {}))
        seen += numbers(answer)
        cursor = answer.json()["next_cursor"]

    assert seen == whole
    assert sorted(seen) == [0, 1, 2, 3]
    assert cursor is None


def test_candidates_across_searches_keep_the_rank_of_their_own(
    http: TestClient,
    store: Store,
    scored_search: str,
    search_body: dict[str, Any],
    succeed: Callable[..., None],
) -> None:
    other = http.post("/v1/searches", json=search_body).json()["id"]
    assert store.claim(JobKind.SEARCH, "runner", 60, job_id=other)
    succeed(other, 0, accuracy=0.7)

    items = http.get("/v1/candidates", params={"state": "succeeded"}).json()["items"]
    of_another_space = http.get("/v1/candidates", params={"search_space": "nasnet_micro"}).json()["items"]

    assert [(item["search_id"], item["number"], item["rank"]) for item in items] == [
        (scored_search, 2, 1), (other, 0, 1), (scored_search, 0, 2), (scored_search, 1, 3),
    ]  # fmt: skip
    assert of_another_space == []


def test_the_pareto_front_is_that_of_the_objectives(
    http: TestClient, store: Store, search_body: dict[str, Any], succeed: Callable[..., None]
) -> None:
    body = search_body | {"objectives": ["accuracy", "params"]}
    search_id = http.post("/v1/searches", json=body).json()["id"]
    assert store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
    for number, (accuracy, params) in enumerate([(0.9, 300), (0.8, 100), (0.7, 200), (0.9, 400)]):
        succeed(search_id, number, accuracy=accuracy, params=params)

    front = http.get(f"/v1/searches/{search_id}/pareto")

    assert sorted(numbers(front)) == [0, 1], "2 loses to 1, and 3 to 0"
    assert front.json()["next_cursor"] is None


def test_one_candidate_has_its_loss_curve(http: TestClient, scored_search: str) -> None:
    candidate = http.get(f"/v1/candidates/{scored_search}-2").json()

    assert candidate["loss_curve"] == [2.0, 1.0]
    assert candidate["rank"] == 1


@pytest.mark.parametrize("candidate_id", ["nosuch", "nosuch-0", "-", "nosuch-99999999999999999999", "a%00-1"])
def test_an_unknown_candidate_is_not_found(http: TestClient, candidate_id: str) -> None:
    for answer in (
        http.get(f"/v1/candidates/{candidate_id}"),
        http.post(f"/v1/candidates/{candidate_id}/retrain"),
        http.get(f"/v1/candidates/{candidate_id}/export"),
    ):
        assert answer.status_code == 404
        assert "no candidate with id" in answer.json()["detail"]


def test_retraining_needs_no_body_and_takes_final_trainings_settings(
    http: TestClient, store: Store, scored_search: str
) -> None:
    path = f"/v1/candidates/{scored_search}-2/retrain"
    default, chosen = http.post(path), http.post(path, json={"epochs": 3, "learning_rate": 0.05, "seed": 4})

    assert (default.status_code, chosen.status_code) == (202, 202)
    assert default.json()["progress"]["total"] == default.json()["request"]["epochs"] > 1
    job = chosen.json()
    assert chosen.headers["Location"] == f"/v1/final-trainings/{job['id']}"
    assert (job["state"], job["candidate_id"]) == ("queued", f"{scored_search}-2")
    assert job["progress"] == {"done": 0, "total": 3}
    assert job["test_accuracy"] is job["result"] is None
    assert store.get_job(job["id"], JobKind.FINAL_TRAINING).request["learning_rate"] == 0.05


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": -3}, "epochs"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"x": 1}, "x"),
    ],
)
def test_bad_settings_of_a_final_training_are_named(
    http: TestClient, scored_search: str, body: dict[str, Any], field: str
) -> None:
    answer = http.post(f"/v1/candidates/{scored_search}-2/retrain", json=body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_candidate_without_a_score_is_not_retrained(http: TestClient, scored_search: str) -> None:
    answer = http.post(f"/v1/candidates/{scored_search}-3/retrain")

    assert answer.status_code == 409
    assert "failed" in answer.json()["detail"]
    assert "scored" in answer.json()["remedy"]


@pytest.mark.parametrize("body", [{}, {"space_options": {"channels": 8}}])
def test_a_candidate_whose_search_space_is_gone_is_not_retrained(
    http: TestClient, candidate_of_a_gone_space: str, body: dict[str, Any]
) -> None:
    answer = http.post(f"/v1/candidates/{candidate_of_a_gone_space}/retrain", json=body)

    assert answer.status_code == 422
    assert fields(answer) == ["search_space.name"]
    assert not http.get("/v1/final-trainings").json()["items"]


def test_the_test_accuracy_stands_apart_from_the_proxy_score(
    http: TestClient, trained_candidate: str
) -> None:
    final_training = http.get("/v1/final-trainings").json()["items"][0]
    expected = {
        "id": final_training["id"], "state": "succeeded", "test_accuracy": 0.97, "validation_accuracy": 0.98,
    }  # fmt: skip
    listed = http.get("/v1/candidates").json()["items"][0]

    assert http.get(f"/v1/candidates/{trained_candidate}").json()["final_training"] == expected
    assert (listed["final_training"], listed["metrics"]["accuracy"]) == (expected, 0.5)
    assert (final_training["test_accuracy"], final_training["candidate_id"]) == (0.97, trained_candidate)


def test_a_later_final_training_does_not_hide_the_weights(http: TestClient, archived_candidate: str) -> None:
    later = http.post(f"/v1/candidates/{archived_candidate}/retrain").json()

    candidate = http.get(f"/v1/candidates/{archived_candidate}").json()
    assert (candidate["final_training"]["id"], candidate["final_training"]["state"]) == (
        later["id"],
        "queued",
    )
    answer = http.get(f"/v1/candidates/{archived_candidate}/export?format=safetensors")
    assert (answer.status_code, answer.content) == (200, b"weights")


def test_python_export_is_an_archive_of_source_and_weights(http: TestClient, trained_candidate: str) -> None:
    answer = http.get(f"/v1/candidates/{trained_candidate}/export")

    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{trained_candidate}.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == ["model.py", "model.safetensors"]
        source = archive.read("model.py").decode()
        weights = load_tensors(archive.read("model.safetensors"))
    assert ENCODING in source
    assert "nas" not in {
        line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith("from ")
    }
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_the_exported_weights_are_the_trained_ones(
    http: TestClient, artifacts: ArtifactStore, trained_candidate: str
) -> None:
    result = http.get("/v1/final-trainings").json()["items"][0]["result"]
    trained = load_tensors(artifacts.get(result["weights"]))

    exported = load_tensors(http.get(f"/v1/candidates/{trained_candidate}/export?format=safetensors").content)

    assert exported.keys() == trained.keys()
    assert all(exported[name].equal(tensor) for name, tensor in trained.items())


def test_an_export_that_is_asked_for_again_is_made_once(
    http: TestClient, trained_candidate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients ask again when an answer takes long; PyTorch's tracing fails in two threads of one process."""
    made: list[str] = []
    make = exports._in_its_own_process
    monkeypatch.setattr(
        exports, "_in_its_own_process", lambda network, name: made.append(name) or make(network, name)
    )
    path = f"/v1/candidates/{trained_candidate}/export?format="
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(http.get, [path + "torch_export"] * 3 + [path + "onnx"]))

    assert [answer.status_code for answer in answers] == [200] * 4, answers[-1].text
    assert sorted(made) == ["onnx", "torch_export"]
    for answer in answers[:3]:
        exported = torch.export.load(io.BytesIO(answer.content)).module()
        assert exported(torch.zeros(5, 1, 8, 8)).shape == (5, 10)
    assert exports._UNDER_WAY == {}


def test_exports_that_would_wait_too_long_are_asked_to_come_again(
    http: TestClient, trained_candidate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits holds a thread: forty of them would stop every other request."""
    path = f"/v1/candidates/{trained_candidate}/export?format=safetensors"
    places, seats, refused = BoundedSemaphore(1), BoundedSemaphore(1), Event()
    monkeypatch.setattr("services.controller.exports._PLACES", places)
    monkeypatch.setattr("services.controller.exports._SEATS", seats)
    monkeypatch.setattr(
        "services.controller.exports._in_its_own_process", lambda *_: b"weights" if refused.wait(60) else b""
    )
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(http.get, path) for _ in range(3)]
        wait(asked, return_when=FIRST_COMPLETED)
        refused.set()
    answers = [each.result() for each in asked]

    assert sorted(answer.status_code for answer in answers) == [200, 200, 429], "one makes it, one waits"
    told = next(answer for answer in answers if answer.status_code == 429)
    assert told.headers["Retry-After"] == "10"
    assert "try again later" in told.json()["detail"]

    with places:  # of another export
        assert http.get(path).status_code == 429
    assert http.get(path).status_code == 200, "the place is free again"


def test_an_export_whose_process_dies_is_an_error_of_the_service(
    http: TestClient, trained_candidate: str
) -> None:
    path = f"/v1/candidates/{trained_candidate}/export?format=torch_export"
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(http.get, path)
        while not (exporting := [child for child in Process().children() if is_spawned(child)]):
            assert not asked.done(), asked.result().text
        exporting[0].kill()
        answer = asked.result()

    assert answer.status_code == 500
    assert f"the process that exported {ENCODING!r} as torch_export died" in answer.json()["detail"]
    assert http.get(path.replace("torch_export", "safetensors")).status_code == 200


def test_an_export_that_hangs_is_ended_and_keeps_no_other_from_its_turn(
    http: TestClient, trained_candidate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v1/candidates/{trained_candidate}/export?format=torch_export"
    with monkeypatch.context() as hanging:
        hanging.setattr(exports, "MOST_SECONDS", 1)
        hanging.setattr(exports, "StoredNetwork", lambda *_: Hanging())
        answer = http.get(path)

    assert answer.status_code == 500
    assert "was ended after 1 s" in answer.json()["detail"]
    assert http.get(path).status_code == 200


class Hanging:
    """A network that the process of its export never has done reading."""

    encoding = ENCODING

    def __reduce__(self) -> tuple[Any, ...]:
        return time.sleep, (600,)


def is_spawned(process: Process) -> bool:
    try:
        return "multiprocessing.spawn" in " ".join(process.cmdline())
    except NoSuchProcess:
        return False


def test_an_export_is_confirmed_by_its_etag(http: TestClient, archived_candidate: str) -> None:
    path = f"/v1/candidates/{archived_candidate}/export?format=safetensors"
    first = http.get(path)
    again = http.get(path, headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert http.get(path, headers={"If-None-Match": '"another"'}).status_code == 200


def test_an_export_needs_a_final_training(http: TestClient, scored_search: str) -> None:
    answer = http.get(f"/v1/candidates/{scored_search}-2/export?format=python")

    assert answer.status_code == 409
    remedy = answer.json()["remedy"]
    assert f"`gtn-nas retrain {scored_search}-2`, POST /v1/candidates/{scored_search}-2/retrain" in remedy


def test_an_unknown_export_format_is_named(http: TestClient, scored_search: str) -> None:
    answer = http.get(f"/v1/candidates/{scored_search}-2/export?format=pickle")

    assert answer.status_code == 422
    assert [(error["field"], error["given"]) for error in answer.json()["errors"]] == [("format", "pickle")]
