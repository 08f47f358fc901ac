"""Pages of meta-trainings and final trainings."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.controller.pages import trainings
from services.lifecycle import JobKind, JobState
from services.store import Store

from .conftest import Submit


@pytest.fixture
def meta_training_id(http: TestClient, store: Store) -> str:
    """A meta-training that is at step 3 of 5."""
    body = {"name": "<digits>", "dataset": {"name": "digits"}, "config": {"meta_steps": 5}}
    identifier: str = http.post("/v1/meta-trainings", json=body).json()["id"]
    store.claim(JobKind.META_TRAINING, "worker", 60, job_id=identifier)
    for step in (1, 2, 3):
        store.append_event(identifier, "meta_step", report(step))
    store.heartbeat(identifier, "worker", 60, progress_done=3)
    return identifier


def report(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "total": 5,
        "loss": 1 / step,
        "accuracy": 0.25 * step,
        "gradient_norm": 1.0,
        "seconds": 2.0,
        "validation_accuracy": None,
    }


def test_a_page_shows_where_a_training_stands(http: TestClient, meta_training_id: str) -> None:
    page = http.get(f"/meta-trainings/{meta_training_id}").text

    assert "&lt;digits&gt;" in page
    assert "75.0 %" in page
    assert "3 / 5" in page
    assert "4.0 s" in page  # left: 2 steps of 2 s
    assert "Cancel" in page


def test_the_time_left_counts_from_the_step_that_a_second_worker_is_at(
    http: TestClient, store: Store, meta_training_id: str
) -> None:
    store.append_event(meta_training_id, "meta_step", report(1))

    page = http.get(f"/meta-trainings/{meta_training_id}/progress").text

    assert "3 / 5" in page
    assert "8.0 s" in page  # 4 steps of 2 s


def test_curves_come_in_pieces_until_the_end(http: TestClient, store: Store, meta_training_id: str) -> None:
    first = http.get(f"/meta-trainings/{meta_training_id}/curve").json()
    store.append_event(meta_training_id, "meta_step", report(4))
    store.finish(meta_training_id, "worker", result={"checkpoint_id": "x", "validation_accuracy": 0.5})
    second = http.get(f"/meta-trainings/{meta_training_id}/curve", params={"after": first["last"]}).json()

    assert first["points"]["step"] == [1, 2, 3]
    assert first["points"]["accuracy"] == [0.25, 0.5, 0.75]
    assert (first["ended"], second["ended"]) == (False, True)
    assert second["points"]["step"] == [4]


def test_a_long_curve_is_thinned(
    http: TestClient, meta_training_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainings, "POINTS", 2)

    assert http.get(f"/meta-trainings/{meta_training_id}/curve").json()["points"]["step"] == [1, 3]


def test_validations_outlast_the_thinning(
    http: TestClient, store: Store, meta_training_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainings, "POINTS", 2)
    for step, validated in ((4, 0.5), (5, None), (6, 0.6), (7, None), (8, None)):
        store.append_event(meta_training_id, "meta_step", report(step) | {"validation_accuracy": validated})

    points = http.get(f"/meta-trainings/{meta_training_id}/curve").json()["points"]

    assert points["step"] == [4, 6, 8]
    assert points["validation_accuracy"] == [0.5, 0.6, None]


def test_what_is_shown_already_is_not_sent_again(
    http: TestClient, store: Store, meta_training_id: str
) -> None:
    address = f"/meta-trainings/{meta_training_id}/progress"
    tag = http.get(address).text.partition("?seen=")[2].partition('"')[0]

    assert http.get(address, params={"seen": tag}).status_code == 204
    store.heartbeat(meta_training_id, "worker", 60, progress_done=4)
    assert "4 / 5" in http.get(address, params={"seen": tag}).text


def test_the_end_brings_the_whole_page_anew_with_what_came_of_it(
    http: TestClient, store: Store, meta_training_id: str
) -> None:
    address = f"/meta-trainings/{meta_training_id}"
    assert "HX-Refresh" not in http.get(f"{address}/progress").headers

    store.add_checkpoint("x", {}, 1)
    store.finish(meta_training_id, "worker", result={"checkpoint_id": "x", "validation_accuracy": 0.5})

    assert http.get(f"{address}/progress").headers["HX-Refresh"] == "true"
    assert "/searches/new?checkpoint=x" in http.get(address).text


def test_it_can_be_cancelled(submit: Submit, store: Store, meta_training_id: str) -> None:
    answer = submit(f"/meta-trainings/{meta_training_id}/cancel")

    assert answer.headers["Location"] == f"/meta-trainings/{meta_training_id}"
    assert store.get_job(meta_training_id).state is JobState.CANCELLED


def test_one_that_failed_can_be_resumed(
    http: TestClient, submit: Submit, store: Store, meta_training_id: str
) -> None:
    address = f"/meta-trainings/{meta_training_id}"
    assert f'hx-post="{address}/resume"' not in http.get(address).text
    store.finish(meta_training_id, "worker", error={"title": "DatasetError", "detail": "it is not here"})
    assert f'hx-post="{address}/resume"' in http.get(address).text

    answer = submit(f"{address}/resume")

    assert answer.headers["Location"] == address
    assert store.get_job(meta_training_id).state is JobState.QUEUED


def test_one_that_would_meet_the_same_end_is_to_be_submitted_otherwise(
    http: TestClient, store: Store, meta_training_id: str, search_id: str
) -> None:
    assert store.claim("search", "runner", 60, job_id=search_id) is not None
    for job_id, owner, place, instead in (
        (meta_training_id, "worker", "meta-trainings", "submit another with other settings"),
        (search_id, "runner", "searches", f'href="/searches/new?from={search_id}"'),
    ):
        error = {"type": "urn:gtn-nas:problem:memory-limit", "title": "MemoryLimitError"}
        store.finish(job_id, owner, error=error)
        page = http.get(f"/{place}/{job_id}").text
        assert "/resume" not in page
        assert instead in page


@pytest.mark.parametrize("path", ["/meta-trainings/nosuch", "/final-trainings/nosuch"])
def test_one_that_does_not_exist_has_a_page_that_says_so(http: TestClient, path: str) -> None:
    answer = http.get(path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "nosuch" in answer.text


def test_a_final_training_outlives_its_candidate(http: TestClient, store: Store) -> None:
    request = {"epochs": 2, "seed": 0, "name": "", "priority": 0}
    job = store.create_job(
        JobKind.FINAL_TRAINING, name="", request=request, progress_total=2, subject_id="gone-0"
    )

    assert "gone-0" in http.get(f"/final-trainings/{job.id}").text
