"""The exploring pages as HTML: what is there for whom, and what stands against forged actions."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.lifecycle import JobKind, JobState
from services.store import Scope, Store

POSTS = ("pause", "resume", "cancel", "extend", "clone", "delete")


@pytest.mark.parametrize("action", POSTS)
def test_an_action_without_the_page_s_token_is_refused(
    http: TestClient, store: Store, search_id: str, action: str
) -> None:
    answer = http.post(f"/searches/{search_id}/{action}", headers={"Origin": "http://127.0.0.1:8000"})
    assert answer.status_code == 403
    assert store.get_job(search_id).state is JobState.QUEUED


def test_retraining_without_the_page_s_token_is_refused(http: TestClient, scored_search: str) -> None:
    answer = http.post(f"/candidates/{scored_search}-2/retrain", data={"epochs": 1})
    assert answer.status_code == 403
    assert http.get("/v1/final-trainings").json()["items"] == []


def test_retraining_leads_to_where_it_can_be_watched(http: TestClient, scored_search: str) -> None:
    form = {"epochs": "3"} | page_token(http, f"/candidates/{scored_search}-2")
    answer = http.post(f"/candidates/{scored_search}-2/retrain", data=form, follow_redirects=False)
    assert answer.status_code == 303
    (job,) = http.get("/v1/final-trainings").json()["items"]
    assert answer.headers["Location"] == f"/final-trainings/{job['id']}"
    assert job["progress"]["total"] == 3


@pytest.mark.parametrize("lacking", [set(), {"onnx"}, {"torch"}])
def test_a_candidate_s_page_offers_what_the_controller_can_export(
    http: TestClient, trained_candidate: str, lacking: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "services.controller.exports.find_spec", lambda name: None if name in lacking else name
    )
    page = http.get(f"/candidates/{trained_candidate}").text
    every = ["python", "safetensors", "torch_export", "onnx"]
    expected = [] if "torch" in lacking else [name for name in every if name not in lacking]
    assert re.findall(r"/export\?format=(\w+)", page) == expected
    assert ("installed without" in page) == bool(lacking)
    assert "Scoring keeps no weights" not in page


def page_token(http: TestClient, path: str) -> dict[str, str]:
    token = re.search(r'name="csrf_token" value="(\w+)"', http.get(path).text)
    assert token is not None
    return {"csrf_token": token.group(1)}


@pytest.mark.parametrize(
    ("path", "form", "field"),
    [
        ("/candidates/{id}-2/retrain", {"epochs": "20000"}, "epochs"),
        ("/candidates/{id}-2/retrain", {"epochs": "many"}, "epochs"),
        ("/searches/{id}/extend", {"additional_candidates": "0"}, "additional_candidates"),
        ("/searches/{id}/extend", {"additional_candidates": "-1"}, "additional_candidates"),
        ("/searches/{id}/clone", {"max_candidates": "0", "seed": "0"}, "max_candidates"),
        ("/searches/{id}/clone", {"max_candidates": "1", "seed": "-1"}, "seed"),
    ],
)
def test_a_form_that_cannot_be_fulfilled_says_which_field(
    http: TestClient, scored_search: str, path: str, form: dict[str, str], field: str
) -> None:
    form |= page_token(http, f"/searches/{scored_search}")
    answer = http.post(path.format(id=scored_search), data=form)
    assert answer.status_code == 422
    assert field in answer.text


def test_a_proxy_score_stands_apart_from_a_real_accuracy(http: TestClient, scored_search: str) -> None:
    page = http.get(f"/candidates/{scored_search}-2").text
    proxy = page.index("Proxy score")
    real = page.index("Real accuracy")
    assert proxy < page.index("90.00 %") < real, "the score is in the proxy's box"
    assert page.index("not measured") > real


def test_a_score_of_its_own_is_the_proxy_s_and_an_untrained_accuracy_is_called_so(
    http: TestClient, store: Store, scored_search: str
) -> None:
    candidate = ("runner", scored_search, 9)
    store.add_candidate(*candidate, space="nasbench201", encoding="e", canonical_hash="h", seed=0)
    metrics = {"accuracy": 0.125, "loss": 1.0, "params": 1, "flops": 1, "seconds": 0.5, "score": -12.5}
    store.finish_candidate(*candidate, metrics=metrics, loss_curve=[])
    page = http.get(f"/candidates/{scored_search}-9").text
    proxy = page[page.index("Proxy score") : page.index("Real accuracy")]
    assert "-12.5" in proxy
    assert "Validation accuracy of the untrained network: 12.50 %, which says nothing." in proxy
    assert "which says nothing" not in http.get(f"/candidates/{scored_search}-2").text


def test_the_best_of_a_search_is_told_by_what_the_search_works_for(
    http: TestClient, store: Store, search_body: dict[str, Any], succeed: Callable[..., None]
) -> None:
    asked = search_body | {"estimator": {"name": "zero_cost"}, "algorithm": {"name": "random_search"}}
    search_id = http.post("/v1/searches", json=asked).json()["id"]
    assert store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
    succeed(search_id, 0, accuracy=0.9, score=1.0, reward=1.0)
    succeed(search_id, 1, accuracy=0.1, score=419.98984, reward=419.98984)
    store.heartbeat(search_id, "runner", 60, progress_done=2)

    for path in (f"/searches/{search_id}/progress", "/overview/jobs", "/searches"):
        shown = http.get(path).text
        assert "419.9898" in shown, path
        assert "est proxy score" in shown, path
    assert "419.9898" in http.get(f"/candidates/{search_id}-0/similar").text
    assert f"/v1/searches/{search_id}/points?x=params&y=score" in http.get(f"/searches/{search_id}").text
    compared = http.get(f"/compare?id={search_id}-0&id={search_id}-1").text
    assert re.search(r'class="best"><a[^>]*>419.9898', compared)
    chosen = http.get(f"/searches/{search_id}/table", params={"min_score": 2}).text
    assert (f"/candidates/{search_id}-0" in chosen, f"/candidates/{search_id}-1" in chosen) == (False, True)


def test_a_key_that_may_only_read_sees_no_actions(http: TestClient, store: Store, scored_search: str) -> None:
    _, key = store.create_api_key("reader", [Scope.READ])
    headers = {"Authorization": f"Bearer {key}"}
    for path in (f"/searches/{scored_search}", f"/candidates/{scored_search}-2"):
        page = http.get(path, headers=headers)
        assert page.status_code == 200
        for action in (*POSTS, "retrain"):
            assert f"{scored_search}/{action}" not in page.text
            assert f"{scored_search}-2/{action}" not in page.text


def test_what_is_not_there_is_a_page_too(http: TestClient) -> None:
    for path in (
        "/searches/nosuch",
        "/candidates/nosuch-1",
        "/checkpoints/nosuch",
        "/fidelity-reports/nosuch",
    ):
        answer = http.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
    assert "no candidate nosuch-1" in http.get("/compare", params={"id": "nosuch-1"}).text


def test_nothing_new_is_answered_with_nothing(http: TestClient, search_id: str) -> None:
    page = http.get(f"/searches/{search_id}").text
    tag = re.search(r"progress\?seen=(\w+)", page)
    assert tag is not None
    assert http.get(f"/searches/{search_id}/progress", params={"seen": tag.group(1)}).status_code == 204
    assert http.get(f"/searches/{search_id}/progress", params={"seen": "other"}).status_code == 200


def test_what_a_pause_interrupted_is_not_in_flight(
    http: TestClient, store: Store, scored_search: str
) -> None:
    store.add_candidate(
        "runner", scored_search, 4, space="nasbench201", encoding="", canonical_hash="", seed=0
    )
    address = f"/searches/{scored_search}/progress"
    assert re.search(r"In flight</dt>\s*<dd><a[^>]*>1<", http.get(address).text)
    http.post(f"/v1/searches/{scored_search}/pause")
    paused = http.get(address).text
    assert "In flight" not in paused
    assert re.search(r"To be repeated</dt>\s*<dd><a[^>]*>1<", paused)


def test_candidates_of_a_search_space_that_is_gone_have_their_pages(
    http: TestClient, candidate_of_a_gone_space: str
) -> None:
    for path in (f"/candidates/{candidate_of_a_gone_space}", f"/compare?id={candidate_of_a_gone_space}"):
        page = http.get(path)
        assert page.status_code == 200
        assert "50.00" in page.text


def test_more_than_four_are_not_compared(http: TestClient, scored_search: str) -> None:
    ids = [f"{scored_search}-{number}" for number in range(5)]
    assert http.get("/compare", params={"id": ids}).status_code == 422
    page: Any = http.get("/compare", params={"id": ids[:4]})
    assert page.status_code == 200
    assert page.text.count('scope="col"') == 5
    assert "not measured under the same conditions" not in page.text


@pytest.mark.parametrize("difference", [{"seed": 9}, {"resources": {"gpus_per_candidate": 1}}])
def test_scores_of_other_conditions_are_told_apart(
    http: TestClient,
    store: Store,
    scored_search: str,
    search_body: dict[str, Any],
    succeed: Any,
    difference: dict[str, Any],
) -> None:
    other = http.post("/v1/searches", json=search_body | difference).json()["id"]
    assert store.claim(JobKind.SEARCH, "runner", 60, job_id=other)
    succeed(other, 0, accuracy=0.6)
    page = http.get("/compare", params={"id": [f"{scored_search}-0", f"{other}-0"]})
    assert "not measured under the same conditions" in page.text
    assert "60.00 %" in page.text
    assert f'"candidate 0, {other}"' in page.text, "two curves, two names"
    assert not re.search(r'class="best"><a[^>]*>60.00 %', page.text), "which is better cannot be told"
