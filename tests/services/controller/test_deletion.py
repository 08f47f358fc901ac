"""What has ended, and what nobody uses, can be deleted: jobs of every kind, and checkpoints."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.artifacts import ArtifactStore
from services.controller.shipped_checkpoints import register_shipped_checkpoints, shipped_ids
from services.lifecycle import Action, JobKind
from services.store import Measurements, Store, deletion

Submit = Callable[[JobKind], str]
COLLECTIONS = {
    JobKind.META_TRAINING: "meta-trainings",
    JobKind.FINAL_TRAINING: "final-trainings",
    JobKind.FIDELITY_REPORT: "fidelity-reports",
}
KINDS = pytest.mark.parametrize("kind", COLLECTIONS)


@pytest.fixture
def submit(http: TestClient, scored_search: str, checkpoint_id: str) -> Submit:
    """Submits a job of the kind."""
    requests: dict[JobKind, tuple[str, dict[str, Any]]] = {
        JobKind.META_TRAINING: ("/v1/meta-trainings", {"dataset": {"name": "digits"}}),
        JobKind.FINAL_TRAINING: (f"/v1/candidates/{scored_search}-2/retrain", {"epochs": 1}),
        JobKind.FIDELITY_REPORT: ("/v1/fidelity-reports", {"checkpoint_id": checkpoint_id}),
    }

    def send(kind: JobKind) -> str:
        path, body = requests[kind]
        answer = http.post(path, json=body)
        assert answer.is_success, answer.text
        identifier: str = answer.json()["id"]
        return identifier

    return send


def with_token(http: TestClient, path: str) -> dict[str, str]:
    """The header that the page's script sends along."""
    token = re.search(r'name="csrf-token" content="(\w+)"', http.get(path).text)
    assert token is not None
    return {"X-CSRF-Token": token.group(1)}


@KINDS
def test_only_a_job_that_has_ended_can_be_deleted(http: TestClient, submit: Submit, kind: JobKind) -> None:
    path = f"/v1/{COLLECTIONS[kind]}/{submit(kind)}"
    refused = http.delete(path)
    assert refused.status_code == 409
    assert "cancel it before deleting it" in refused.json()["detail"]
    http.post(f"{path}/cancel")
    assert [http.delete(path).status_code for _ in range(2)] == [204, 404]
    assert http.get(f"/v1/{COLLECTIONS[kind]}").json()["items"] == []


@KINDS
def test_its_page_offers_it_and_leads_to_the_list(
    http: TestClient, store: Store, submit: Submit, kind: JobKind
) -> None:
    job_id = submit(kind)
    page = f"/{COLLECTIONS[kind]}/{job_id}"
    assert f"{page}/delete" not in http.get(page).text
    store.act(job_id, Action.CANCEL)
    assert f"{page}/delete" in http.get(page).text
    assert http.post(f"{page}/delete").status_code == 403, "without the page's token"
    answer = http.post(f"{page}/delete", headers=with_token(http, page), follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/{COLLECTIONS[kind]}")
    assert http.get(page).status_code == 404


def test_a_search_with_many_candidates_is_gone_when_its_deletion_is_answered(
    http: TestClient, store: Store, scored_search: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "PORTION", 1)
    path, candidate = f"/v1/searches/{scored_search}", f"/v1/candidates/{scored_search}-2"
    asked = [
        *(path + part for part in ("", "/events", "/candidates", "/pareto", "/trajectory", "/points")),
        *(path + part for part in ("/choices", "/importance", "/download")),
        *(candidate + part for part in ("", "/similar", "/lineage", "/cost", "/export")),
        *(f"/searches/{scored_search}", f"/candidates/{scored_search}-2"),
    ]
    http.post(f"{path}/cancel")
    assert http.get(f"{path}/points").json()["total"] == 3
    assert [http.delete(path).status_code for _ in range(2)] == [204, 404]
    assert store.remove_leftovers(), "there is more of it than is removed at once"
    assert {each: http.get(each).status_code for each in asked} == dict.fromkeys(asked, 404)
    for action in ("extend", "resume", "clone"):
        assert http.post(f"{path}/{action}", json={"add_candidates": 5}).status_code == 404, action
    assert http.post(f"{candidate}/retrain").status_code == 404
    assert http.get("/v1/searches").json()["items"] == []
    assert http.get("/v1/candidates").json()["items"] == []


@pytest.mark.parametrize(
    "path",
    [
        *(f"/v1/searches/{{}}/{part}" for part in ("choices", "importance", "trajectory")),
        "/v1/candidates/{}-2/similar",
    ],
)
def test_who_has_begun_to_read_a_search_that_is_deleted_is_told_so(
    http: TestClient, store: Store, scored_search: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A portion of its candidates is gone when they are looked up."""
    monkeypatch.setattr(deletion, "PORTION", 1)
    http.post(f"/v1/searches/{scored_search}/cancel")
    measure = Store.measurements

    def measure_and_delete(*asked: Any) -> Measurements:
        measured = measure(*asked)
        store.delete_job(scored_search)
        return measured

    monkeypatch.setattr(Store, "measurements", measure_and_delete)
    assert http.get(path.format(scored_search)).status_code == 404


def test_a_checkpoint_can_be_deleted_when_nothing_is_about_it(
    http: TestClient, submit: Submit, scored_search: str, checkpoint_id: str
) -> None:
    path, page = f"/v1/checkpoints/{checkpoint_id}", f"/checkpoints/{checkpoint_id}"
    report = submit(JobKind.FIDELITY_REPORT)
    refused = http.delete(path)
    assert refused.status_code == 409
    assert f"checkpoint '{checkpoint_id}' is used by 2 job(s)" in refused.json()["detail"]
    for job in (f"searches/{scored_search}", f"fidelity-reports/{report}"):
        assert f"{page}/delete" not in http.get(page).text
        http.post(f"/v1/{job}/cancel")
        assert http.delete(f"/v1/{job}").status_code == 204
    assert f"{page}/delete" in http.get(page).text
    answer = http.post(f"{page}/delete", headers=with_token(http, page), follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/checkpoints")
    assert http.delete(path).status_code == 404


def test_a_meta_training_outlives_its_checkpoint(
    http: TestClient, store: Store, submit: Submit, checkpoint_id: str, scored_search: str
) -> None:
    job_id = submit(JobKind.META_TRAINING)
    store.claim(JobKind.META_TRAINING, "worker", 60, job_id=job_id)
    store.finish(job_id, "worker", result={"checkpoint_id": checkpoint_id})
    assert f"/checkpoints/{checkpoint_id}" in http.get(f"/meta-trainings/{job_id}").text
    store.act(scored_search, Action.CANCEL)
    store.delete_job(scored_search)
    store.delete_checkpoint(checkpoint_id)
    page = http.get(f"/meta-trainings/{job_id}")
    assert page.status_code == 200
    assert f"/checkpoints/{checkpoint_id}" not in page.text


def test_a_checkpoint_of_the_package_would_be_back(
    http: TestClient, store: Store, artifacts: ArtifactStore
) -> None:
    register_shipped_checkpoints(store, artifacts)
    (identifier, *_) = shipped_ids()
    refused = http.delete(f"/v1/checkpoints/{identifier}")
    assert refused.status_code == 409
    assert "comes with the package" in refused.json()["detail"]
    assert f"/checkpoints/{identifier}/delete" not in http.get(f"/checkpoints/{identifier}").text
