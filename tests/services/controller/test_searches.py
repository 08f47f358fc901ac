"""Searches over HTTP: submit, check, look, steer, delete."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gtn_core.strict_model import MOST_TOLD
from services.lifecycle import JobKind
from services.store import Store


def test_a_search_is_queued_with_every_default_filled_in(
    http: TestClient, store: Store, search_body: dict[str, Any]
) -> None:
    answer = http.post("/v1/searches", json=search_body | {"name": "first"})

    assert answer.status_code == 201
    search = answer.json()
    assert answer.headers["Location"] == f"/v1/searches/{search['id']}"
    assert (search["state"], search["name"]) == ("queued", "first")
    assert search["progress"] == {"done": 0, "total": 5}
    assert search["checkpoint_id"] == search_body["checkpoint_id"]
    assert search["started_at"] is search["finished_at"] is search["error"] is search["best"] is None
    assert search["request"]["algorithm"]["name"] == "regularized_evolution"
    assert search["request"]["algorithm"]["population_size"] >= 1, "options get their defaults, too"
    assert search["request"]["resources"] == {"cpus_per_candidate": 1.0, "gpus_per_candidate": 0.0}
    assert store.get_job(search["id"], JobKind.SEARCH).request == search["request"]


def test_a_name_is_stored_without_what_is_not_shown(http: TestClient, search_body: dict[str, Any]) -> None:
    stored = http.post("/v1/searches", json=search_body | {"name": " a\u202e\u200b b\u200b "}).json()
    assert stored["name"] == "a b"
    assert http.post("/v1/searches", json=search_body | {"name": "\u200b"}).json()["name"] == ""


def test_a_parameter_that_is_misspelled_submits_nothing(
    http: TestClient, store: Store, search_body: dict[str, Any]
) -> None:
    answer = http.post("/v1/searches?validate_olny=true&validate_only=true", json=search_body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "validate_olny"
    assert error["message"] == "there is no such parameter; did you mean validate_only?"
    assert store.list_jobs(JobKind.SEARCH).items == []


def test_of_many_unknown_parameters_and_fields_the_first_are_told(
    http: TestClient, search_body: dict[str, Any]
) -> None:
    unknown = {f"max_para{number}": 1 for number in range(2000)}
    for answer in (http.get("/v1/candidates", params=unknown), http.get("/v1/search-spaces", params=unknown)):
        assert (answer.status_code, len(answer.json()["errors"])) == (422, MOST_TOLD)
    answer = http.post("/v1/searches", json=search_body | unknown)
    assert (answer.status_code, len(answer.json()["errors"])) == (422, MOST_TOLD)


def test_validate_only_stores_nothing(http: TestClient, store: Store, search_body: dict[str, Any]) -> None:
    answer = http.post("/v1/searches?validate_only=true", json=search_body)

    assert answer.status_code == 200
    assert answer.json()["request"]["search_space"]["cells_per_stage"] >= 1
    assert answer.json()["estimate"] is None
    assert store.list_jobs(JobKind.SEARCH).items == []


def test_validate_only_estimates_from_searches_of_the_same_kind(
    http: TestClient, scored_search: str, search_body: dict[str, Any]
) -> None:
    estimate = http.post("/v1/searches?validate_only=true", json=search_body | {"max_candidates": 40}).json()
    another, on_gpus = (
        http.post("/v1/searches?validate_only=true", json=search_body | change).json()
        for change in ({"search_space": {"name": "nasbench201"}}, {"resources": {"gpus_per_candidate": 1}})
    )

    assert estimate["estimate"] == {
        "candidates": 40, "seconds_per_candidate": 0.25, "evaluation_seconds": 10.0, "based_on": 3,
    }  # fmt: skip
    assert another["estimate"] is None, "a space with other options costs something else"
    assert on_gpus["estimate"] is None, "and so does what is scored on GPUs"


def test_searches_are_listed_newest_first_page_by_page(http: TestClient, search_body: dict[str, Any]) -> None:
    ids = [http.post("/v1/searches", json=search_body).json()["id"] for _ in range(3)]

    first = http.get("/v1/searches", params={"limit": 2}).json()
    second = http.get("/v1/searches", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [search["id"] for search in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


def test_searches_are_filtered_by_state(http: TestClient, search_body: dict[str, Any]) -> None:
    kept, cancelled = (http.post("/v1/searches", json=search_body).json()["id"] for _ in range(2))
    http.post(f"/v1/searches/{cancelled}/cancel")

    listed = http.get("/v1/searches", params={"state": "queued"}).json()["items"]

    assert [search["id"] for search in listed] == [kept]


def test_a_search_shows_its_best_candidate(http: TestClient, scored_search: str) -> None:
    search = http.get(f"/v1/searches/{scored_search}").json()

    assert search["state"] == "running"
    assert search["started_at"] is not None
    assert search["progress"] == {"done": 4, "total": 5}
    assert (search["best"]["number"], search["best"]["rank"]) == (2, 1)


def test_a_search_tells_how_many_candidates_failed_and_why(
    http: TestClient, store: Store, search_id: str, propose: Callable[..., None]
) -> None:
    assert http.get(f"/v1/searches/{search_id}").json()["failures"] == []
    assert store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
    for number, reason in enumerate(["too slow", "diverged", "diverged"]):
        propose(search_id, number)
        error = {"reason": reason, "detail": f"detail {number}"}
        store.finish_candidate("runner", search_id, number, error=error)

    assert http.get(f"/v1/searches/{search_id}").json()["failures"] == [
        {"reason": "diverged", "count": 2, "first": f"{search_id}-1", "detail": "detail 1"},
        {"reason": "too slow", "count": 1, "first": f"{search_id}-0", "detail": "detail 0"},
    ]
    assert http.get("/v1/searches").json()["items"][0]["failures"] is None


def test_a_list_whose_only_item_is_refused_is_not_said_to_be_too_short_too(
    http: TestClient, search_body: dict[str, Any]
) -> None:
    answer = http.post("/v1/searches", json=search_body | {"objectives": ["acuracy"]})
    assert [error["field"] for error in answer.json()["errors"]] == ["objectives.0"]
    answer = http.post("/v1/searches", json=search_body | {"objectives": []})
    assert [error["field"] for error in answer.json()["errors"]] == ["objectives"]


def test_the_best_candidate_is_that_of_the_first_objective(
    http: TestClient, store: Store, search_body: dict[str, Any], succeed: Any
) -> None:
    search_id = http.post("/v1/searches", json=search_body | {"objectives": ["params", "accuracy"]}).json()[
        "id"
    ]
    store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
    succeed(search_id, 0, params=100, accuracy=0.1, reward=-100)
    succeed(search_id, 1, params=900, accuracy=0.9, reward=-900)

    assert http.get(f"/v1/searches/{search_id}").json()["best"]["number"] == 0


def test_pause_resume_and_cancel_may_be_repeated(http: TestClient, search_id: str) -> None:
    states = [
        http.post(f"/v1/searches/{search_id}/{action}").json()["state"]
        for action in ("pause", "pause", "resume", "resume", "cancel", "cancel")
    ]

    assert states == ["paused", "paused", "queued", "queued", "cancelled", "cancelled"]


def test_an_illegal_step_is_a_conflict_with_its_reason(http: TestClient, search_id: str) -> None:
    http.post(f"/v1/searches/{search_id}/cancel")

    answer = http.post(f"/v1/searches/{search_id}/resume")

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:gtn-nas:problem:conflict"
    assert "cancelled" in answer.json()["detail"]


def test_only_an_ended_search_can_be_deleted(http: TestClient, search_id: str) -> None:
    refused = http.delete(f"/v1/searches/{search_id}")
    http.post(f"/v1/searches/{search_id}/cancel")
    deleted = http.delete(f"/v1/searches/{search_id}")
    gone = http.delete(f"/v1/searches/{search_id}")

    assert (refused.status_code, deleted.status_code, gone.status_code) == (409, 204, 404)
    assert "cancel" in refused.json()["detail"], "it says what to do"
    assert deleted.content == b""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/cancel"),
        ("GET", "/events"), ("GET", "/candidates"), ("GET", "/pareto"),
    ],
)  # fmt: skip
def test_an_unknown_search_is_not_found(http: TestClient, method: str, path: str) -> None:
    answer = http.request(method, f"/v1/searches/nosuch{path}")

    assert answer.status_code == 404
    assert answer.json()["detail"] == "no search with id 'nosuch'"


def test_a_job_of_another_kind_is_not_a_search(http: TestClient) -> None:
    meta_training = http.post("/v1/meta-trainings", json={"dataset": {"name": "digits"}}).json()

    assert http.get(f"/v1/searches/{meta_training['id']}").status_code == 404
