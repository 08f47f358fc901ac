"""Bad requests: each is answered with problem details that name the field, what was given, what would do."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from services.controller.limits import MAX_BODY_BYTES
from services.errors import StoreUnavailableError
from services.lifecycle import JobKind
from services.store import Store

JSON = {"Content-Type": "application/json"}


def problem(answer: Any, status: int, slug: str) -> dict[str, Any]:
    """The answer's problem details, after a look at what all of them have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    details: dict[str, Any] = answer.json()
    assert details["type"] == f"urn:gtn-nas:problem:{slug}"
    assert details["status"] == status
    assert details["title"]
    assert details["detail"]
    assert details["instance"] == answer.request.url.path
    return details


@pytest.mark.parametrize(
    ("change", "field", "given", "expected"),
    [
        ({"checkpoint_id": "nosuch"}, "checkpoint_id", "nosuch", "/v1/checkpoints"),
        ({"search_space": {"name": "nosuch"}}, "search_space.name", "nosuch", "nasbench201"),
        ({"algorithm": {"name": "nosuch"}}, "algorithm.name", "nosuch", "random_search"),
        ({"estimator": {"name": "nosuch"}}, "estimator.name", "nosuch", "gtn"),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_are_known(
    http: TestClient, store: Store, search_body: dict[str, Any],
    change: dict[str, Any], field: str, given: str, expected: str,
) -> None:  # fmt: skip
    answer = http.post("/v1/searches", json=search_body | change)

    (error,) = problem(answer, 422, "invalid-request")["errors"]
    assert (error["field"], error["given"]) == (field, given)
    assert expected in error["expected"]
    assert store.list_jobs(JobKind.SEARCH).items == []


@pytest.mark.parametrize(
    ("change", "field", "given"),
    [
        ({"max_candidates": -1}, "max_candidates", -1),
        ({"max_candidates": 0}, "max_candidates", 0),
        ({"max_candidates": "many"}, "max_candidates", "many"),
        ({"max_seconds": -0.5}, "max_seconds", -0.5),
        ({"max_concurrent": 0}, "max_concurrent", 0),
        ({"seed": -1}, "seed", -1),
        ({"objectives": []}, "objectives", []),
        ({"objectives": ["beauty"]}, "objectives.0", "beauty"),
        ({"constraints": {"max_params": -5}}, "constraints.max_params", -5),
        ({"constraints": {"max_flops": 10**400}}, "constraints.max_flops", "1" + 199 * "0" + "…"),
        ({"max_concurrent": 10**30}, "max_concurrent", 10**30),
        ({"resources": {"cpus_per_candidate": -1}}, "resources.cpus_per_candidate", -1),
        ({"search_space": {"name": "nasbench201", "channels": "wide"}}, "search_space.channels", "wide"),
        ({"search_space": {"name": "nasbench201", "channels": -8}}, "search_space.channels", -8),
        ({"search_space": {"name": "nasbench201", "colour": 1}}, "search_space.colour", 1),
        ({"search_space": "nasbench201"}, "search_space", "nasbench201"),
        (
            {"algorithm": {"name": "regularized_evolution", "population_size": 0}},
            "algorithm.population_size",
            0,
        ),
        ({"name": "x" * 201}, "name", "x" * 200 + "…"),
        ({"name": 7}, "name", 7),
        ({"colour": "red"}, "colour", "red"),
    ],
)
def test_a_bad_field_of_a_search_is_named_with_what_was_given(
    http: TestClient,
    store: Store,
    search_body: dict[str, Any],
    change: dict[str, Any],
    field: str,
    given: Any,
) -> None:
    answer = http.post("/v1/searches", json=search_body | change)

    error = problem(answer, 422, "invalid-request")["errors"][0]
    assert (error["field"], error["given"]) == (field, given)
    assert error["message"]
    assert store.list_jobs(JobKind.SEARCH).items == []


@pytest.mark.parametrize("levels", [32, 130, 900, 100_000])
def test_what_is_nested_too_deep_is_refused(
    http: TestClient, search_body: dict[str, Any], levels: int
) -> None:
    network = '{"a":' * levels + "1" + "}" * levels
    estimator = f'{{"name": "zero_cost", "network": {network}}}'
    body = json.dumps(search_body | {"estimator": "ESTIMATOR"}).replace('"ESTIMATOR"', estimator)
    answer = http.post("/v1/searches", content=body, headers=JSON)

    if levels < 100_000:
        (error,) = problem(answer, 422, "invalid-request")["errors"]
        assert (error["field"], "levels deep" in error["message"]) == ("estimator", True)
    else:  # beyond what JSON is read of at all
        problem(answer, 400, "bad-request")


@pytest.mark.parametrize("path", ["/v1/searches", "/v1/searches/{search_id}/clone"])
def test_what_holds_between_fields_is_the_bodys(
    http: TestClient, search_body: dict[str, Any], search_id: str, path: str
) -> None:
    body = (search_body if path == "/v1/searches" else {}) | {"max_candidates": 1}
    body["initial_architectures"] = ["one", "two"]

    (error,) = problem(http.post(path.format(search_id=search_id), json=body), 422, "invalid-request")[
        "errors"
    ]

    assert error["field"] == "body"
    assert "initial_architectures are 2 and max_candidates is 1" in error["message"]


def test_an_objective_that_is_named_twice_is_refused_by_the_field(
    http: TestClient, search_body: dict[str, Any]
) -> None:
    answer = http.post("/v1/searches", json=search_body | {"objectives": ["loss", "loss"]})

    (error,) = problem(answer, 422, "invalid-request")["errors"]
    assert error["field"] == "objectives"
    assert error["given"] == ["loss", "loss"]
    assert error["message"] == "one is named twice: loss, loss"


def test_every_bad_field_is_named_at_once(http: TestClient, search_body: dict[str, Any]) -> None:
    del search_body["checkpoint_id"]
    answer = http.post("/v1/searches", json=search_body | {"seed": -1, "max_candidates": 0})

    details = problem(answer, 422, "invalid-request")
    assert {error["field"] for error in details["errors"]} == {"checkpoint_id", "seed", "max_candidates"}
    assert (
        next(error for error in details["errors"] if error["field"] == "checkpoint_id").get("given") is None
    )


@pytest.mark.parametrize("option", ["self", "name_", "cls", "__class__"])
def test_an_option_may_have_any_name_and_is_refused_as_unknown(
    http: TestClient, search_body: dict[str, Any], option: str
) -> None:
    body = search_body | {"search_space": {"name": "nasbench201", option: 1}}

    (error,) = problem(http.post("/v1/searches", json=body), 422, "invalid-request")["errors"]
    assert error["field"] == f"search_space.{option}"


@pytest.mark.parametrize("body", [b"", b"{", b"{'name': 1}", b"nonsense", b'{"seed": }'])
def test_a_body_that_is_not_json(http: TestClient, body: bytes) -> None:
    answer = http.post("/v1/searches", content=body, headers=JSON)

    if body:
        assert "character" in problem(answer, 400, "not-json")["detail"]
    else:
        (error,) = problem(answer, 422, "invalid-request")["errors"]
        assert error["field"] == "body"


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"text"'])
def test_json_that_is_not_an_object(http: TestClient, body: bytes) -> None:
    answer = http.post("/v1/searches", content=body, headers=JSON)

    assert [error["field"] for error in problem(answer, 422, "invalid-request")["errors"]] == ["body"]


@pytest.mark.parametrize("body", [b'{"\xff": 1}', b"[" * 100_000, b'{"seed": ' + b"9" * 5000 + b"}"])
def test_json_that_cannot_be_read(http: TestClient, body: bytes) -> None:
    problem(http.post("/v1/searches", content=body, headers=JSON), 400, "bad-request")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_of_another_media_type(
    http: TestClient, search_body: dict[str, Any], media_type: str | None
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = http.post("/v1/searches", content=json.dumps(search_body).encode(), headers=headers)

    details = problem(answer, 415, "unsupported-media-type")
    assert "application/json" in details["remedy"]


@pytest.mark.parametrize("text", ['"\\ud800"', "NaN", "Infinity", "1e999", '"a\\u0000b"'])
@pytest.mark.parametrize("field", ["name", "max_seconds", "search_space", "colour"])
def test_what_json_should_not_hold_is_refused_and_told_back(
    http: TestClient, search_body: dict[str, Any], field: str, text: str
) -> None:
    body = json.dumps(search_body | {field: "HERE"}).replace('"HERE"', text)
    answer = http.post("/v1/searches", content=body.encode(), headers=JSON)

    assert problem(answer, 422, "invalid-request")["errors"][0]["field"].startswith(field)


def test_a_body_that_is_too_large(http: TestClient, search_body: dict[str, Any]) -> None:
    large = json.dumps(search_body | {"name": "x" * MAX_BODY_BYTES}).encode()
    announced = http.post("/v1/searches", content=large, headers=JSON)
    streamed = http.post("/v1/searches", content=iter([large[:100], large[100:]]), headers=JSON)

    for answer in (announced, streamed):
        assert f"{MAX_BODY_BYTES:,} bytes" in problem(answer, 413, "too-large")["detail"]


def test_a_path_that_does_not_exist(http: TestClient) -> None:
    assert "/v1/nosuch" in problem(http.get("/v1/nosuch"), 404, "not-found")["detail"]


def test_a_method_that_the_path_does_not_have(http: TestClient) -> None:
    answer = http.put("/v1/searches")

    assert "PUT" in problem(answer, 405, "method-not-allowed")["detail"]
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"), ({"limit": 10**6}, "limit"), ({"limit": "all"}, "limit"),
        ({"cursor": "garbage"}, "cursor"), ({"cursor": "ä"}, "cursor"), ({"order_by": "beauty"}, "order_by"),
        ({"order_by": "--accuracy"}, "order_by"), ({"state": "lost"}, "state"),
        ({"max_params": -1}, "max_params"),
        ({"min_accuracy": "nan"}, "min_accuracy"), ({"sort": "accuracy"}, "sort"),
    ],
)  # fmt: skip
def test_a_bad_query_parameter_is_named(
    http: TestClient, search_id: str, query: dict[str, Any], field: str
) -> None:
    answer = http.get(f"/v1/searches/{search_id}/candidates", params=query)

    assert [error["field"] for error in problem(answer, 422, "invalid-request")["errors"]] == [field]


def test_a_cursor_of_another_order_is_refused(http: TestClient, scored_search: str) -> None:
    path = f"/v1/searches/{scored_search}/candidates"
    cursor = http.get(path, params={"limit": 1, "order_by": "params"}).json()["next_cursor"]

    answer = http.get(path, params={"limit": 1, "order_by": "-accuracy", "cursor": cursor})

    assert [error["field"] for error in problem(answer, 422, "invalid-request")["errors"]] == ["cursor"]


def test_a_database_that_is_away_is_a_503(
    app: FastAPI, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailableError("the database does not answer")

    monkeypatch.setattr(app.state.store, "get_job", away)
    answer = http.get("/v1/searches/any")

    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "5"


def test_what_nobody_expected_is_a_500_that_keeps_its_secrets(
    app: FastAPI, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(app.state.store, "get_job", broken)
    answer = http.get("/v1/searches/any", headers={"X-Request-ID": "abc-123"})

    assert "abc-123" in problem(answer, 500, "internal")["remedy"], "what to look for in the log"
    assert answer.headers["X-Request-ID"] == "abc-123"
    assert "hunter2" not in answer.text
