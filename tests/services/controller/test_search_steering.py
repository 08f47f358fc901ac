"""Clone, extend, priority: over HTTP, as users ask for them."""

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.controller.app import create_app
from services.lifecycle import Action, JobKind, JobState
from services.settings import Settings
from services.store import Scope, Store

from .conftest import fields


def end(store: Store, search_id: str, **ending: Any) -> None:
    assert store.claim(JobKind.SEARCH, "runner", 30, job_id=search_id)
    store.finish(search_id, "runner", **ending)


def test_a_clone_is_a_new_search_with_the_same_request(http: TestClient, search_id: str) -> None:
    original = http.get(f"/v1/searches/{search_id}").json()
    answer = http.post(f"/v1/searches/{search_id}/clone")
    assert answer.status_code == 201, answer.text
    clone = answer.json()
    assert clone["id"] != search_id
    assert answer.headers["Location"] == f"/v1/searches/{clone['id']}"
    assert (clone["state"], clone["progress"]["done"]) == ("queued", 0)
    assert clone["request"] == original["request"]


def test_a_clone_differs_in_what_is_given(http: TestClient, store: Store, search_id: str) -> None:
    store.act(search_id, Action.CANCEL)
    changes = {"name": "again", "seed": 7, "max_candidates": 9, "priority": 3, "max_seconds": 60}
    clone = http.post(f"/v1/searches/{search_id}/clone", json=changes).json()
    original = http.get(f"/v1/searches/{search_id}").json()
    assert clone["request"] == original["request"] | changes
    assert (clone["name"], clone["priority"], clone["progress"]["total"]) == ("again", 3, 9)
    # An explicit null takes a limit away again.
    unlimited = http.post(f"/v1/searches/{clone['id']}/clone", json={"max_seconds": None}).json()
    assert unlimited["request"]["max_seconds"] is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_candidates": 0}, "max_candidates"),
        ({"max_candidates": None}, "max_candidates"),
        ({"search_space": {"name": "nowhere"}}, "search_space.name"),
        ({"checkpoint_id": "f" * 64}, "checkpoint_id"),
        ({"beauty": 1}, "beauty"),
    ],
)
def test_a_clone_is_checked_as_any_request(
    http: TestClient, search_id: str, changes: dict[str, Any], field: str
) -> None:
    answer = http.post(f"/v1/searches/{search_id}/clone", json=changes)
    assert answer.status_code == 422
    assert fields(answer) == [field]
    assert len(http.get("/v1/searches").json()["items"]) == 1


def test_a_clone_is_made_once_per_key(http: TestClient, search_id: str) -> None:
    headers = {"Idempotency-Key": "a"}
    first, second = (
        http.post(f"/v1/searches/{search_id}/clone", json={"seed": 1}, headers=headers) for _ in range(2)
    )
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert len(http.get("/v1/searches").json()["items"]) == 2
    other = http.post(f"/v1/searches/{search_id}/clone", json={"seed": 2}, headers=headers)
    assert other.status_code == 422


def test_a_succeeded_search_goes_on_when_it_is_extended(
    http: TestClient, store: Store, search_id: str
) -> None:
    end(store, search_id, result={"timed_out": False})
    answer = http.post(f"/v1/searches/{search_id}/extend", json={"additional_candidates": 3})
    assert answer.status_code == 200, answer.text
    search = answer.json()
    assert (search["state"], search["finished_at"], search["result"]) == ("queued", None, None)
    assert search["progress"] == {"done": 0, "total": 8}
    assert search["request"]["max_candidates"] == 8


def test_an_extension_counts_once_per_key(http: TestClient, search_id: str) -> None:
    for _ in range(2):
        http.post(
            f"/v1/searches/{search_id}/extend",
            json={"additional_candidates": 3},
            headers={"Idempotency-Key": "a"},
        )
    assert http.get(f"/v1/searches/{search_id}").json()["progress"]["total"] == 8


@pytest.mark.parametrize(
    "body",
    [{}, {"additional_candidates": 0}, {"additional_candidates": -1}, {"additional_seconds": 0}, {"n": 1}],
)
def test_an_extension_adds_something(http: TestClient, search_id: str, body: dict[str, Any]) -> None:
    assert http.post(f"/v1/searches/{search_id}/extend", json=body).status_code == 422


def test_more_than_a_search_can_have_is_refused(http: TestClient, search_id: str) -> None:
    answer = http.post(f"/v1/searches/{search_id}/extend", json={"additional_candidates": 10_000_000})
    assert answer.status_code == 422
    assert fields(answer) == ["max_candidates"]


def test_a_cancelled_search_is_cloned_instead(http: TestClient, store: Store, search_id: str) -> None:
    store.act(search_id, Action.CANCEL)
    answer = http.post(f"/v1/searches/{search_id}/extend", json={"additional_candidates": 1})
    assert answer.status_code == 409
    assert "clone it" in answer.json()["detail"]


@pytest.mark.parametrize("part", ["search_space", "algorithm", "estimator"])
def test_a_search_whose_plugin_is_gone_does_not_go_on(
    http: TestClient, store: Store, search_id: str, part: str
) -> None:
    request = store.get_job(search_id).request | {part: {"name": "uninstalled"}}
    gone = store.create_job(
        JobKind.SEARCH, name="", request=request, subject_id=request["checkpoint_id"], progress_total=5
    )
    end(store, gone.id, result={"timed_out": False})
    for action, body in (("extend", {"additional_candidates": 1}), ("clone", {})):
        answer = http.post(f"/v1/searches/{gone.id}/{action}", json=body)
        assert answer.status_code == 422
        assert fields(answer) == [f"{part}.name"]
    assert store.get_job(gone.id).state is JobState.SUCCEEDED


def test_the_history_tells_that_a_runner_was_silent(
    http: TestClient, store: Store, search_body: dict[str, Any]
) -> None:
    search = http.post("/v1/searches", json=search_body).json()["id"]
    assert store.claim(JobKind.SEARCH, "runner", -7200, job_id=search) is not None
    store.heartbeat(search, "runner", 30)
    assert "goes on after 2 h 00 min of silence" in http.get(f"/searches/{search}/history").text


def test_time_is_added_to_a_search_that_has_a_limit(
    http: TestClient, store: Store, search_body: dict[str, Any]
) -> None:
    timed = http.post("/v1/searches", json=search_body | {"max_seconds": 10}).json()["id"]
    end(store, timed, result={"timed_out": True})
    refused = http.post(f"/v1/searches/{timed}/extend", json={"additional_candidates": 1})
    assert refused.status_code == 409
    assert "give additional_seconds" in refused.json()["detail"]
    search = http.post(f"/v1/searches/{timed}/extend", json={"additional_seconds": 5}).json()
    assert (search["state"], search["request"]["max_seconds"]) == ("queued", 15)
    assert "in 15.0 s" in http.get(f"/searches/{timed}/history").text

    untimed = http.post("/v1/searches", json=search_body).json()["id"]
    refused = http.post(f"/v1/searches/{untimed}/extend", json={"additional_seconds": 5})
    assert refused.status_code == 409
    assert "no max_seconds" in refused.json()["detail"]


def test_priority_and_owner_are_stored_with_every_kind_of_job(
    http: TestClient, store: Store, search_body: dict[str, Any], scored_search: str
) -> None:
    key, secret = store.create_api_key("a", [Scope.SUBMIT])
    headers = {"Authorization": f"Bearer {secret}"}
    training = {"dataset": {"name": "digits"}, "priority": 2}
    made = [
        http.post("/v1/searches", json=search_body | {"priority": 2}, headers=headers),
        http.post("/v1/meta-trainings", json=training, headers=headers),
        http.post(f"/v1/candidates/{scored_search}-0/retrain", json={"priority": 2}, headers=headers),
        http.post(f"/v1/searches/{scored_search}/clone", json={"priority": 2}, headers=headers),
    ]
    for answer in made:
        assert answer.status_code in {201, 202}, answer.text
        assert answer.json()["priority"] == 2
        job = store.get_job(answer.json()["id"])
        assert (job.priority, job.owner_key_id) == (2, key.id)
    assert store.get_job(scored_search).owner_key_id is None


def test_every_kind_of_job_is_edited_and_found_by_its_name(
    http: TestClient, search_body: dict[str, Any], scored_search: str
) -> None:
    submitted = {
        "searches": ("/v1/searches", search_body),
        "meta-trainings": ("/v1/meta-trainings", {"dataset": {"name": "digits"}}),
        "final-trainings": (f"/v1/candidates/{scored_search}-0/retrain", {}),
    }
    for place, (path, body) in submitted.items():
        made = http.post(path, json=body).json()
        job = f"/v1/{place}/{made['id']}"
        edited = http.patch(job, json={"name": " The Baseline ", "priority": 3})
        assert edited.status_code == 200, edited.text
        assert (edited.json()["name"], edited.json()["priority"]) == ("The Baseline", 3)
        assert http.patch(job, json={"priority": None}).json() == edited.json()
        shown = http.get(job).json()
        assert shown == edited.json() | {"last_event_id": shown["last_event_id"]}
        found = http.get(f"/v1/{place}", params={"name": "baseline"}).json()["items"]
        assert [each["id"] for each in found] == [made["id"]]
        assert http.get(f"/v1/{place}", params={"name": "other"}).json()["items"] == []
        history = f"/{place}/{made['id']}" + ("/history" if place == "searches" else "")
        assert re.search(r"named <b[^>]*>The Baseline</b>, priority 3", http.get(history).text)


def test_a_clone_takes_the_name_that_the_search_has_now(http: TestClient, search_id: str) -> None:
    http.patch(f"/v1/searches/{search_id}", json={"name": "now"})
    assert http.post(f"/v1/searches/{search_id}/clone").json()["name"] == "now"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"priority": 1001}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"state": "succeeded"}, "state"),
    ],
)
def test_an_edit_that_is_refused_names_the_field_and_changes_nothing(
    http: TestClient, search_id: str, body: dict[str, Any], field: str
) -> None:
    before = http.get(f"/v1/searches/{search_id}").json()
    refused = http.patch(f"/v1/searches/{search_id}", json=body)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert http.get(f"/v1/searches/{search_id}").json() == before
    assert http.patch("/v1/searches/nosuch", json={"name": "a"}).status_code == 404


def test_the_bootstrap_key_owns_nothing(
    settings: Settings, search_body: dict[str, Any], store: Store
) -> None:
    secret = "a bootstrap key of the settings"
    app = create_app(Settings(**settings.model_dump() | {"api_key": secret}))
    with TestClient(app, base_url="http://127.0.0.1:8000") as http:
        answer = http.post("/v1/searches", json=search_body, headers={"Authorization": f"Bearer {secret}"})
    assert store.get_job(answer.json()["id"]).owner_key_id is None


def test_a_job_tells_what_it_waits_for(http: TestClient, store: Store, search_id: str) -> None:
    assert store.claim(JobKind.SEARCH, "runner", 30, job_id=search_id)
    store.set_waiting(search_id, "runner", "a node with 1 GPU")
    search = http.get(f"/v1/searches/{search_id}").json()
    assert (search["state"], search["waiting_for"]) == (JobState.RUNNING, "a node with 1 GPU")
