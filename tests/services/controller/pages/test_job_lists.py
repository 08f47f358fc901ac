"""Lists of jobs: each kind, each state, page by page."""

import html
import re

import pytest
from fastapi.testclient import TestClient

from services.controller.pages import job_lists
from services.lifecycle import Action
from services.store import Store

from .conftest import Submit


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


def test_a_page_that_refuses_says_once_why(http: TestClient) -> None:
    page = http.get("/searches?state=nosuch").text
    assert "<code>state</code>" in page
    assert page.count("Input should be") == 1
    assert "there is nothing at /nosuch" in http.get("/nosuch", headers={"Accept": "text/html"}).text


def test_a_list_is_searched_by_name_within_a_state(
    http: TestClient, store: Store, search_body: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_lists, "JOBS_PER_PAGE", 1)
    names = ["wide one", "wide two", "narrow", "wide three"]
    ids = [http.post("/v1/searches", json=search_body | {"name": name}).json()["id"] for name in names]
    store.act(ids[3], Action.CANCEL)

    found = http.get("/searches", params={"state": "queued", "name": "Wide"}).text
    address = re.search(r'href="([^"]*cursor=[^"]*)"', found)
    assert address is not None
    older = http.get(html.unescape(address[1])).text
    assert [name in found for name in names] == [False, True, False, False]
    assert [name in older for name in names] == [True, False, False, False]
    assert 'href="/searches?state=cancelled&amp;name=Wide"' in older
    assert 'href="/searches?state=queued&amp;name=Wide"' in older  # the newest
    assert "Nothing here" in http.get("/searches", params={"name": "broad"}).text


def test_a_job_is_edited_on_its_page(
    http: TestClient, store: Store, search_body: dict[str, object], submit: Submit
) -> None:
    search = http.post("/v1/searches", json=search_body | {"name": "first"}).json()["id"]
    training = http.post("/v1/meta-trainings", json={"dataset": {"name": "digits"}}).json()["id"]
    for place, job in (("searches", search), ("meta-trainings", training)):
        path = f"/{place}/{job}/edit"
        assert f'action="{path}"' in http.get(f"/{place}/{job}").text
        assert submit(path, {"name": "a better name", "priority": "9"}).status_code == 303
        shown = http.get(f"/{place}/{job}").text
        assert "<h1>a better name</h1>" in shown
        assert "priority 9" in shown
        assert store.get_job(job).priority == 9
        assert submit(path, {"name": "worse", "priority": "1001"}).status_code == 422
        assert store.get_job(job).name == "a better name"
        submit(path, {"name": "", "priority": "9"})
        assert store.get_job(job).name == ""


def test_names_are_shown_as_text(http: TestClient, search_body: dict[str, object]) -> None:
    http.post("/v1/searches", json=search_body | {"name": "<script>alert(1)</script>"})

    for path in ("/", "/searches"):
        page = http.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
