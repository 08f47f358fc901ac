"""The overview's parts, as htmx asks for them, and what every page has."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from services.controller.app import create_app
from services.controller.pages.overview import MOST_RECENT
from services.dashboard import STATIC
from services.lifecycle import Action, JobKind
from services.settings import Settings
from services.store import Store

TEMPLATES = STATIC.parent / "templates"


def test_jobs_are_sent_again_only_when_something_happened(http: TestClient, scored_search: str) -> None:
    shown = http.get("/overview/jobs").text
    tag = shown.partition("?seen=")[2].partition('"')[0]

    assert "4 / 5" in shown or "0 / 5" in shown
    assert http.get("/overview/jobs", params={"seen": tag}).status_code == 204
    http.post(f"/v1/searches/{scored_search}/cancel")
    assert "cancelled" in http.get("/overview/jobs", params={"seen": tag}).text


def test_the_best_so_far_leads_to_its_candidate_in_the_api(
    http: TestClient, store: Store, scored_search: str
):
    store.heartbeat(scored_search, "runner", 60, progress_done=4)

    shown = http.get("/overview/jobs").text

    assert f'href="/v1/candidates/{scored_search}-2"' in shown
    assert "90.00 %" in shown


def test_what_ended_last_is_told_first_however_many_jobs_wait(
    http: TestClient, store: Store, search_body: dict[str, Any]
) -> None:
    jobs = [http.post("/v1/searches", json=search_body).json()["id"] for _ in range(MOST_RECENT + 2)]
    store.act(jobs[1], Action.CANCEL)
    store.act(jobs[0], Action.CANCEL)

    shown = http.get("/overview/jobs").text

    recent = shown[shown.index("Ended recently") :]
    assert re.findall(r'id="job-(\w+)"', recent) == [jobs[0], jobs[1]]


def test_a_failure_is_told_with_its_remedy(http: TestClient, store: Store, search_id: str) -> None:
    store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
    error = {"title": "It broke", "detail": "the <wheel> came off", "remedy": "put it on again"}
    store.finish(search_id, "runner", error=error)

    shown = http.get("/").text

    assert "the &lt;wheel&gt; came off" in shown
    assert "put it on again" in shown


def test_a_failure_without_a_remedy_is_told_too(http: TestClient, store: Store) -> None:
    """Such as a job fails with that finds no data set."""
    body = {"dataset": {"name": "digits"}, "config": {"meta_steps": 5}}
    job_id = http.post("/v1/meta-trainings", json=body).json()["id"]
    store.claim(JobKind.META_TRAINING, "worker", 60, job_id=job_id)
    store.finish(job_id, "worker", error={"title": "DatasetError", "detail": "it is not here"})

    for address in ("/", "/meta-trainings", f"/meta-trainings/{job_id}"):
        shown = http.get(address)
        assert (shown.status_code, "it is not here" in shown.text) == (200, True), address


def test_every_page_tells_what_keeps_jobs_from_being_looked_after(
    app: FastAPI, http: TestClient, scored_search: str
) -> None:
    troubled = SimpleNamespace(trouble="the disk is full")
    for dispatcher, told in ((None, False), (SimpleNamespace(trouble=None), False), (troubled, True)):
        app.state.dispatcher = dispatcher
        for address in ("/", f"/searches/{scored_search}", "/settings"):
            shown = http.get(address)
            assert (shown.status_code, "the disk is full" in shown.text) == (200, told), address
    app.state.dispatcher = None


def test_a_cluster_that_does_not_answer_takes_nothing_else_with_it(settings: Settings) -> None:
    app = create_app(Settings(**{**dict(settings), "ray_jobs_url": "http://127.0.0.1:1"}))
    with TestClient(app, base_url="http://127.0.0.1:8000") as http:
        assert http.get("/").status_code == 200
        assert "The cluster cannot be seen" in http.get("/overview/cluster").text
        assert http.get("/searches/new").status_code == 200


def test_files_are_kept_by_browsers_as_long_as_their_address_names_their_content(http: TestClient) -> None:
    address = re.search(r'href="(/static/dashboard\.css\?v=[0-9a-f]+)"', http.get("/").text)
    assert address is not None

    versioned, plain = http.get(address.group(1)), http.get("/static/page.js")

    assert "immutable" in versioned.headers["Cache-Control"]
    assert plain.headers["Cache-Control"] == "no-cache"
    again = http.get("/static/page.js", headers={"If-None-Match": plain.headers["ETag"]})
    assert again.status_code == 304
    assert http.get("/static/../rendering.py").status_code == 404


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_template_holds_what_the_policy_blocks(template: Path) -> None:
    text = template.read_text()

    assert not re.search(r"\sstyle\s*=|\son[a-z]+\s*=|hx-on|hx-vals\s*=\s*['\"]js:|javascript:", text)
    for script in re.findall(r"<script[^>]*>", text):
        assert "src=" in script or 'type="application/json"' in script, script
    assert "https://" not in text
    assert "| safe" not in text


def test_every_form_that_posts_carries_the_token() -> None:
    for template in TEMPLATES.glob("*.html"):
        for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", template.read_text(), re.DOTALL):
            assert "csrf" in form, (template.name, form[:100])


def test_people_get_a_page_that_says_what_is_not_there_and_programs_a_problem(http: TestClient) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

    for path in ("/nosuch", "/searches/nosuch", "/static/nosuch.js"):
        page = http.get(path, headers=browser)
        assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8"), path
        assert "unsafe" not in page.headers["Content-Security-Policy"]
    for path, headers in (("/nosuch", {}), ("/v1/nosuch", browser), ("/v1/searches/nosuch", browser)):
        assert http.get(path, headers=headers).headers["Content-Type"] == "application/problem+json", path
