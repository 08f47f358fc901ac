"""Idempotency-Key: a POST that is sent twice creates one thing and is answered twice."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.lifecycle import JobKind
from services.store import Scope, Store

KEY = {"Idempotency-Key": "3f1c"}


def test_the_same_request_again_gets_the_first_answer(
    http: TestClient, store: Store, search_body: dict[str, Any]
) -> None:
    first = http.post("/v1/searches", json=search_body, headers=KEY)
    http.post(f"/v1/searches/{first.json()['id']}/cancel")
    again = http.post("/v1/searches", json=search_body, headers=KEY)

    assert (again.status_code, again.json()) == (201, first.json())
    assert len(store.list_jobs(JobKind.SEARCH)) == 1


def test_the_same_key_with_another_body_is_refused(
    http: TestClient, store: Store, search_body: dict[str, Any]
) -> None:
    http.post("/v1/searches", json=search_body, headers=KEY)
    answer = http.post("/v1/searches", json=search_body | {"seed": 9}, headers=KEY)

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:gtn-nas:problem:idempotency-conflict"
    assert "new Idempotency-Key" in answer.json()["remedy"]
    assert len(store.list_jobs(JobKind.SEARCH)) == 1


def test_a_refused_request_does_not_use_up_its_key(http: TestClient, search_body: dict[str, Any]) -> None:
    refused = http.post("/v1/searches", json=search_body | {"max_candidates": -1}, headers=KEY)
    corrected = http.post("/v1/searches", json=search_body, headers=KEY)

    assert (refused.status_code, corrected.status_code) == (422, 201)


def test_checking_does_not_use_up_the_key(http: TestClient, search_body: dict[str, Any]) -> None:
    http.post("/v1/searches?validate_only=true", json=search_body | {"seed": 1}, headers=KEY)

    assert http.post("/v1/searches", json=search_body, headers=KEY).status_code == 201


def test_every_post_that_creates_knows_the_key(http: TestClient, scored_search: str) -> None:
    for path, body in [
        ("/v1/meta-trainings", {"dataset": {"name": "digits"}}),
        (f"/v1/candidates/{scored_search}-0/retrain", {"epochs": 1}),
    ]:
        ids = {http.post(path, json=body, headers=KEY).json()["id"] for _ in range(2)}
        assert len(ids) == 1, path
        assert http.post(path, json=body | {"seed": 5}, headers=KEY).status_code == 422


def test_callers_who_choose_the_same_key_do_not_meet(
    http: TestClient, store: Store, search_body: dict[str, Any]
) -> None:
    tokens = [store.create_api_key(name, [Scope.SUBMIT])[1] for name in ("one", "two")]
    ids = {
        http.post(
            "/v1/searches", json=search_body, headers=KEY | {"Authorization": f"Bearer {token}"}
        ).json()["id"]
        for token in tokens
    }

    assert len(ids) == 2


def test_simultaneous_requests_create_once(
    http: TestClient, store: Store, search_body: dict[str, Any]
) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda _: http.post("/v1/searches", json=search_body, headers=KEY), range(16))
        )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == len(store.list_jobs(JobKind.SEARCH)) == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "ä"])
def test_a_key_that_cannot_be_one_is_named(http: TestClient, search_body: dict[str, Any], key: str) -> None:
    answer = http.post("/v1/searches", json=search_body, headers={"Idempotency-Key": key.encode()})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["Idempotency-Key"]
