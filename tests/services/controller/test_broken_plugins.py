"""Packages with a plugin that cannot be imported are installed beside those that can."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from .pages.conftest import submitting

KINDS = {
    "search_space": ("search-spaces", "gtn_nas.search_spaces"),
    "algorithm": ("algorithms", "gtn_nas.algorithms"),
    "estimator": ("estimators", "gtn_nas.estimators"),
}


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with one broken plugin of each kind."""
    metadata = tmp_path / "site" / "broken-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    groups = (f"[{group}]\nbroken = no_such_module_anywhere:Thing\n" for _, group in KINDS.values())
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    monkeypatch.syspath_prepend(tmp_path / "site")


@pytest.mark.parametrize("field", KINDS)
def test_the_catalogue_lists_the_others_and_says_what_is_wrong(http: TestClient, field: str) -> None:
    entries = {each["name"]: each for each in http.get(f"/v1/{KINDS[field][0]}").json()["items"]}

    assert len(entries) > 3
    broken = entries.pop("broken")
    assert "cannot be imported: ModuleNotFoundError" in broken["description"]
    assert broken["schema"] == {"not": {}}
    assert all("properties" in each["schema"] for each in entries.values())


@pytest.mark.parametrize("field", KINDS)
def test_a_search_with_it_is_refused_by_the_field(http: TestClient, checkpoint_id: str, field: str) -> None:
    answer = http.post("/v1/searches", json={"checkpoint_id": checkpoint_id, field: {"name": "broken"}})

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["given"]) == (f"{field}.name", "broken")
    assert "fix or uninstall its package" in error["message"]


def test_an_ensemble_with_it_is_refused_by_the_member(http: TestClient, checkpoint_id: str) -> None:
    ensemble = {"name": "ensemble", "members": [{"name": "zero_cost"}, {"name": "broken"}]}

    answer = http.post("/v1/searches", json={"checkpoint_id": checkpoint_id, "estimator": ensemble})

    assert [each["field"] for each in answer.json()["errors"]] == ["estimator.members.1"]


def test_a_search_that_stops_early_is_told_which_estimators_can(http: TestClient, checkpoint_id: str) -> None:
    search = {
        "checkpoint_id": checkpoint_id,
        "algorithm": {"name": "successive_halving"},
        "estimator": {"name": "zero_cost"},
    }

    (error,) = http.post("/v1/searches", json=search).json()["errors"]

    assert error["field"] == "estimator.name"
    assert "choose one of: gtn" in error["message"]


def test_a_fidelity_report_with_it_is_refused_by_the_field(http: TestClient, checkpoint_id: str) -> None:
    report = {"checkpoint_id": checkpoint_id, "estimators": [{"name": "broken"}], "candidates": 10}

    answer = http.post("/v1/fidelity-reports", json=report)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "estimators.name")


def test_the_form_of_a_new_search_goes_on(http: TestClient, checkpoint_id: str) -> None:
    form = {"checkpoint_id": checkpoint_id, "estimator.name": "broken", "max_candidates": "4"}

    assert "cannot be imported" in http.get("/searches/new/options?part=estimator&estimator.name=broken").text
    assert http.get("/searches/new").status_code == 200
    assert "fix or uninstall its package" in submitting(http)("/searches/new/check", form).text
