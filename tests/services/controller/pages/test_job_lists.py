"""Lists of jobs: each kind, each state, page by page."""

import pytest
from fastapi.testclient import TestClient

from services.controller.pages import job_lists
from services.lifecycle import Action
from services.store import Store


@pytest.mark.parametrize("path", ["/searches", "/meta-trainings", "/final-trainings", "/fidelity-reports"])
def test_every_kind_has_a_list_that_may_be_empty(http: TestClient, path: str) -> None:
    page = http.get(path)

    assert page.status_code == 200
    assert "There is no" in page.text


def test_a_list_is_filtered_by_state_and_paged(
    http: TestClient, store: Store, search_body: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_lists, "JOBS_PER_PAGE", 2)
    names = [f"search number {number}" for number in range(3)]
    ids = [http.post("/v1/searches", json=search_body | {"name": name}).json()["id"] for name in names]
    store.act(ids[0], Action.CANCEL)

    first = http.get("/searches").text
    older = http.get(
        first.rpartition('href="/searches?cursor=')[2].partition('"')[0].join(["/searches?cursor=", ""])
    )

    assert [name in first for name in names] == [False, True, True]
    assert [name in older.text for name in names] == [True, False, False]
    cancelled = http.get("/searches?state=cancelled").text
    assert [name in cancelled for name in names] == [True, False, False]
    assert http.get("/searches?state=nosuch").status_code == 422
    assert http.get("/searches?cursor=nosuch").status_code == 422


def test_names_are_shown_as_text(http: TestClient, search_body: dict[str, object]) -> None:
    http.post("/v1/searches", json=search_body | {"name": "<script>alert(1)</script>"})

    for path in ("/", "/searches"):
        page = http.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
