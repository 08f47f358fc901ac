"""Fidelity reports over HTTP: what may be asked for, and how a report is shown with its checkpoint."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from nas.architecture import Architecture
from nas.fidelity import ScoredCandidate, fidelity_report
from nas.true_accuracies import TrueAccuracy
from services.lifecycle import JobKind, JobState
from services.meta_worker.worker import Worker
from services.settings import Settings
from services.shutdown import Shutdown
from services.store import Store

SPACE = {"name": "nasbench201", "channels": 4, "cells_per_stage": 1}
CELLS = [
    f"|{first}~0|+|none~0|{second}~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    for first in ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    for second in ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "skip_connect")
]
TABLE = "architecture,accuracy\n" + "".join(f"{cell},{70 + number}\n" for number, cell in enumerate(CELLS))


@pytest.fixture
def body(checkpoint_id: str) -> dict[str, Any]:
    return {
        "checkpoint_id": checkpoint_id,
        "search_space": SPACE,
        "estimators": [{"name": "zero_cost", "readout": "flops", "proxies": []}],
        "candidates": 6,
        "table": {"csv": TABLE},
    }


def test_a_report_is_queued_made_and_shown_with_its_checkpoint(
    http: TestClient, settings: Settings, body: dict[str, Any], checkpoint_id: str
) -> None:
    answer = http.post("/v1/fidelity-reports", json=body)
    assert answer.status_code == 201, answer.text
    queued = answer.json()
    assert answer.headers["Location"] == f"/v1/fidelity-reports/{queued['id']}"
    assert (queued["state"], queued["progress"]) == ("queued", {"done": 0, "total": 6})
    assert queued["report"] is None
    shown = http.get(f"/v1/checkpoints/{checkpoint_id}").json()["fidelity_report"]
    assert shown == {"id": queued["id"], "state": "queued", "spearman": {}}

    Worker(settings, Shutdown()).work_once()

    done = http.get(f"/v1/fidelity-reports/{queued['id']}").json()
    assert (done["state"], done["progress"]) == ("succeeded", {"done": 6, "total": 6})
    report = done["report"]
    assert (report["n"], report["population"]) == (6, "unique")
    (measured,) = report["estimators"]
    assert measured["spearman"]["value"] is not None
    assert set(measured["readouts"]) >= {"flops", "params", "accuracy"}
    accuracies = dict(line.split(",") for line in TABLE.splitlines()[1:])
    assert len(report["candidates"]) == 6
    for row in report["candidates"]:
        assert row["accuracy"] == float(accuracies[row["architecture"]])
        assert row["scores"]["zero_cost"] > 0
    assert http.get("/v1/fidelity-reports").json()["items"][0]["id"] == queued["id"]
    for page in (
        http.get("/v1/checkpoints").json()["items"][0],
        http.get(f"/v1/checkpoints/{checkpoint_id}").json(),
    ):
        assert page["fidelity_report"]["spearman"] == {"zero_cost": measured["spearman"]["value"]}


def test_without_a_table_candidates_are_trained_for_longer(
    http: TestClient, settings: Settings, body: dict[str, Any], store: Store
) -> None:
    asked = body | {"table": None, "truth_steps": 3, "candidates": 4}
    asked["estimators"] = [{"name": "gtn", "validation_limit": 50}, {"name": "gtn", "validation_limit": 40}]
    queued = http.post("/v1/fidelity-reports", json=asked).json()
    assert queued["progress"]["total"] == 4 + 2 * 4
    Worker(settings, Shutdown()).work_once()
    done = http.get(f"/v1/fidelity-reports/{queued['id']}").json()
    assert done["state"] == "succeeded", done["error"]
    labels = ["gtn:validation_limit=50", "gtn:validation_limit=40"]
    assert [each["estimator"] for each in done["report"]["estimators"]] == labels
    events = [event for event in store.events_after(queued["id"], 0, 100) if event.type == "scored"]
    assert [event.data["estimator"] for event in events] == ["truth"] * 4 + [labels[0]] * 4 + [labels[1]] * 4
    assert [event.data["done"] for event in events] == list(range(1, 13))
    truth = {event.data["encoding"]: event.data["score"] for event in events[:4]}
    assert {row["architecture"]: row["accuracy"] for row in done["report"]["candidates"]} == truth


def test_what_one_worker_scored_the_next_does_not_score_again(
    http: TestClient, settings: Settings, body: dict[str, Any], store: Store
) -> None:
    """Two evaluations are in the record with scores that no estimator gives: they are taken as they are."""
    whole = http.post("/v1/fidelity-reports", json=body).json()["id"]
    Worker(settings, Shutdown()).work_once()
    report = http.get(f"/v1/fidelity-reports/{whole}").json()["report"]
    encodings = [row["architecture"] for row in report["candidates"]]

    again = http.post("/v1/fidelity-reports", json=body).json()["id"]
    for done, encoding in enumerate(encodings[:2], start=1):
        event = {
            "estimator": "zero_cost",
            "encoding": encoding,
            "score": -float(done),
            "readouts": {"flops": 1.0},
        }
        rest = {"seconds": 1.0, "failure": None, "done": done, "total": 6}
        store.append_event(again, "scored", event | rest)
    Worker(settings, Shutdown()).work_once()

    rows = http.get(f"/v1/fidelity-reports/{again}").json()["report"]["candidates"]
    assert [row["scores"]["zero_cost"] for row in rows[:2]] == [-1.0, -2.0]
    assert [row["scores"] for row in rows[2:]] == [row["scores"] for row in report["candidates"][2:]]
    scored = [event for event in store.events_after(again, 0, 100) if event.type == "scored"]
    assert len(scored) == 6


def test_a_queued_report_can_be_cancelled(http: TestClient, body: dict[str, Any], store: Store) -> None:
    queued = http.post("/v1/fidelity-reports", json=body).json()["id"]
    assert http.post(f"/v1/fidelity-reports/{queued}/cancel").json()["state"] == "cancelled"
    assert store.claim(JobKind.FIDELITY_REPORT, "worker", 60) is None
    assert store.get_job(queued).state is JobState.CANCELLED


def test_labels_of_the_table_teach_the_calibrated_estimator(
    http: TestClient, settings: Settings, body: dict[str, Any]
) -> None:
    member = {"name": "zero_cost", "readouts": ["flops"], "proxies": [], "readout": "flops"}
    asked = body | {
        "labels": 6,
        "estimators": [{"name": "calibrated", "members": [member], "reference_size": 8}],
    }
    queued = http.post("/v1/fidelity-reports", json=asked).json()["id"]
    Worker(settings, Shutdown()).work_once()
    done = http.get(f"/v1/fidelity-reports/{queued}").json()
    assert done["state"] == "succeeded", done["error"]
    assert done["report"]["n"] == 6
    assert set(done["report"]["estimators"][0]["readouts"]) >= {"predicted", "log_rank"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"checkpoint_id": "0" * 64}, "checkpoint_id"),
        ({"search_space": {"name": "nothing"}}, "search_space.name"),
        ({"estimators": [{"name": "nothing"}]}, "estimators.name"),
        ({"estimators": [{"name": "gtn", "passes": 0}]}, "estimators.0.passes"),
        ({"estimators": [{"name": "calibrated"}]}, "labels"),
        ({"estimators": []}, "estimators"),
        ({"candidates": 13}, "table.csv"),
        ({"table": {"csv": "architecture,accuracy\n|nonsense|,1\n"}}, "table.csv"),
        ({"table": {"csv": TABLE, "path": "/tmp/table.csv"}}, "table"),
        ({"table": {"path": "/etc/passwd"}}, "table.path"),
        ({"labels": 3}, "body"),
    ],
)
def test_a_bad_request_is_refused_before_any_work(
    http: TestClient, body: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    answer = http.post("/v1/fidelity-reports", json=body | changes)
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert http.get("/v1/fidelity-reports").json()["items"] == []


def test_a_table_below_a_data_set_root_is_read_by_the_worker(
    http: TestClient, settings: Settings, body: dict[str, Any]
) -> None:
    (folder,) = settings.dataset_roots
    folder.mkdir(exist_ok=True)
    (folder / "table.csv").write_text(TABLE)
    asked = body | {"table": {"path": str(folder / "table.csv")}}
    queued = http.post("/v1/fidelity-reports", json=asked).json()["id"]
    Worker(settings, Shutdown()).work_once()
    assert http.get(f"/v1/fidelity-reports/{queued}").json()["report"]["n"] == 6


def test_a_search_by_an_estimator_that_trains_nothing_is_led_by_its_score(
    http: TestClient, checkpoint_id: str
) -> None:
    search = {"checkpoint_id": checkpoint_id, "search_space": SPACE, "estimator": {"name": "zero_cost"}}
    plan = http.post("/v1/searches?validate_only=true", json=search)
    assert plan.status_code == 200, plan.text
    assert plan.json()["request"]["objectives"] == ["score"]


@pytest.mark.parametrize(("architectures", "told"), [(200, False), (201, True)])
def test_a_page_tells_that_it_does_not_show_every_architecture(
    http: TestClient, store: Store, body: dict[str, Any], architectures: int, told: bool
) -> None:
    job_id = http.post("/v1/fidelity-reports", json=body).json()["id"]
    assert store.claim(JobKind.FIDELITY_REPORT, "worker", 60, job_id=job_id)
    truth = [TrueAccuracy(Architecture("nasbench201", f"a{each}"), each) for each in range(architectures)]
    scores = {"gtn": [ScoredCandidate(each.accuracy, {}, 0.1) for each in truth]}
    report = fidelity_report(truth, scores, population="unique", resamples=10)
    store.finish(job_id, "worker", result=report.to_json())

    page = http.get(f"/fidelity-reports/{job_id}").text

    assert page.count('class="encoding"') == 200
    assert ("all 201 are in" in page) == told
