"""The way through the API on SQLite and on PostgreSQL alike."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.lifecycle import JobKind
from services.store import Scope, Store


@pytest.fixture
def app_database_url(database_url: str) -> str:
    return database_url


def test_a_search_from_submission_to_deletion(
    http: TestClient, store: Store, search_body: dict[str, Any], succeed: Callable[..., None]
) -> None:
    headers = {"Idempotency-Key": "once"}
    search = http.post("/v1/searches", json=search_body, headers=headers).json()
    assert http.post("/v1/searches", json=search_body, headers=headers).json() == search
    assert http.post("/v1/searches", json=search_body | {"seed": 1}, headers=headers).status_code == 422
    path = f"/v1/searches/{search['id']}"
    assert store.claim(JobKind.SEARCH, "runner", 60) is not None
    for number in range(5):
        succeed(search["id"], number, accuracy=(number * 2 % 5) / 10, params=number)
    store.finish(search["id"], "runner", result={"exhausted": None})

    first = http.get(f"{path}/candidates", params={"limit": 3}).json()
    second = http.get(f"{path}/candidates", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    retrained = http.post(f"/v1/candidates/{search['id']}-2/retrain", json={"epochs": 1}).json()

    ranked = first["items"] + second["items"]
    assert [candidate["number"] for candidate in ranked] == [2, 4, 1, 3, 0]
    assert [candidate["rank"] for candidate in ranked] == [1, 2, 3, 4, 5]
    assert http.get(path).json()["best"]["number"] == 2
    assert [item["number"] for item in http.get(f"{path}/pareto").json()["items"]] == [2]
    assert http.get(f"{path}/candidates").json()["items"][0]["final_training"]["id"] == retrained["id"]
    assert http.get(f"{path}/events").text.count("event: candidate") == 5
    assert 'gtn_nas_candidates{reason="",state="succeeded"} 5.0' in http.get("/metrics").text
    assert http.delete(path).status_code == 204
    assert http.get(path).status_code == 404


@pytest.mark.parametrize(
    "odd",
    ["%00", "\ud800".encode("utf-8", "surrogatepass").hex("%"), "'", "%25", "💥" * 50],
    ids=["nul", "hex", "quote", "percent", "emoji"],
)
def test_odd_identifiers_are_nobodys(http: TestClient, odd: str) -> None:
    for path in ("searches", "meta-trainings", "final-trainings", "checkpoints", "candidates"):
        assert http.get(f"/v1/{path}/{odd}").status_code == 404


def test_readiness_and_keys(http: TestClient, store: Store) -> None:
    _, token = store.create_api_key("reader", [Scope.READ])

    assert http.get("/readyz").json()["ready"]
    assert http.get("/v1/searches").status_code == 401
    assert http.get("/v1/searches", headers={"Authorization": f"Bearer {token}"}).status_code == 200
