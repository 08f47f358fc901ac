"""Searches side by side."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.lifecycle import JobKind
from services.store import Store


@pytest.fixture
def make_scored(
    http: TestClient, store: Store, search_body: dict[str, Any], succeed: Callable[..., None]
) -> Callable[..., str]:
    """Makes a running search whose candidates have the accuracies given, in their order."""

    def make(name: str, accuracies: list[float], **changes: Any) -> str:
        identifier: str = http.post("/v1/searches", json=search_body | {"name": name} | changes).json()["id"]
        assert store.claim(JobKind.SEARCH, "runner", 60, job_id=identifier)
        for number, accuracy in enumerate(accuracies):
            succeed(identifier, number, accuracy=accuracy)
        return identifier

    return make


def test_searches_are_compared_by_what_they_were_asked_and_found(
    http: TestClient, make_scored: Callable[..., str]
) -> None:
    first = make_scored("evolution", [0.2, 0.5, 0.4])
    second = make_scored("random", [0.3, 0.1], algorithm={"name": "random_search"}, seed=4)

    page = http.get("/searches/compare", params={"id": [first, second, first, "nosuch"]}).text

    assert "There is no search nosuch" in page
    assert "not score under the same conditions" not in page
    assert page.count(f'<a href="/searches/{first}">evolution</a>') == 1
    differing = re.findall(r'<tr class="differs"><th scope="row">([^<]*)</th>', page)
    assert differing == ["algorithm", "seed"]
    found = re.search(r'id="comparison">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    plotted = json.loads(found[1])
    assert plotted["objective"] == "accuracy"
    curves = [(each["name"], each["completion"], each["value"]) for each in plotted["searches"]]
    assert curves == [("evolution", [1, 2], [0.2, 0.5]), ("random", [1], [0.3])]


def test_searches_that_work_for_different_things_share_no_plot(
    http: TestClient, make_scored: Callable[..., str]
) -> None:
    ids = [make_scored("accurate", [0.2]), make_scored("small", [0.2], objectives=["params"])]

    page = http.get("/searches/compare", params={"id": ids}).text

    assert "work for different things (proxy accuracy, parameters)" in page
    assert "best-chart" not in page


@pytest.mark.parametrize(
    "difference",
    [{"estimator": {"name": "gtn", "passes": 2}}, {"resources": {"gpus_per_candidate": 1}}],
    ids=["estimator", "GPUs"],
)
def test_scores_that_were_measured_otherwise_are_said_to_be(
    http: TestClient, make_scored: Callable[..., str], difference: dict[str, Any]
) -> None:
    ids = [make_scored("one", [0.2]), make_scored("two", [0.2], **difference)]
    assert "not score under the same conditions" in http.get("/searches/compare", params={"id": ids}).text


def test_what_differs_is_marked_although_its_words_are_equal(
    http: TestClient, make_scored: Callable[..., str]
) -> None:
    cells = [f"|{each}~0|+|none~0|none~1|+|none~0|none~1|none~2|" for each in ("none", "skip_connect")]
    proxies = [["naswot", "flops", "synflow"], ["naswot", "flops", "expressivity"]]
    ids = [
        make_scored(
            "one of two",
            [0.2],
            initial_architectures=[cell],
            estimator={"name": "ensemble", "members": [{"name": "zero_cost", "readouts": readouts}]},
            constraints={"max_params": 1_234_567 + len(cell)},
        )
        for cell, readouts in zip(cells, proxies, strict=True)
    ]
    page = http.get("/searches/compare", params={"id": ids}).text
    differing = re.findall(r'<tr class="differs"><th scope="row">([^<]*)</th>', page)
    assert differing == ["estimator", "first", "limits"]
    assert "synflow" in page
    assert "expressivity" in page


def test_there_is_nothing_to_compare_or_too_much(http: TestClient) -> None:
    assert "Tick two to six searches" in http.get("/searches/compare").text
    assert http.get("/searches/compare", params={"id": ["a"] * 7}).status_code == 422


def test_the_list_has_what_is_to_be_compared_ticked(
    http: TestClient, make_scored: Callable[..., str]
) -> None:
    alone = make_scored("alone", [0.2])
    assert 'id="compare"' not in http.get("/searches").text
    make_scored("another", [0.2])
    page = http.get("/searches").text
    assert f'name="id" value="{alone}" form="compare"' in page
    assert 'form="compare"' not in http.get("/meta-trainings").text
