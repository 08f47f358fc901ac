"""What plots of a search are made of, over HTTP: right by hand for few candidates, bounded for many."""

import csv
import io
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from nas.search_spaces import get_search_space
from services.lifecycle import JobKind
from services.store import Store

CELLS = [  # accuracy, params, cell
    (0.5, 300, "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"),
    (0.7, 300, "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"),
    (0.6, 100, "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"),
    (0.9, 500, "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"),
]


@pytest.fixture
def real_search(http: TestClient, store: Store, search_body: dict[str, Any]) -> str:
    """Four scored cells, the last made from the two before it; a fifth failed."""
    search_id: str = http.post("/v1/searches", json=search_body | {"max_candidates": 1000}).json()["id"]
    assert store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
    space = get_search_space("nasbench201")
    for number, (accuracy, params, encoding) in enumerate(CELLS):
        canonical_hash = space.canonical_hash(space.parse(encoding))
        parents = (1, 2) if number == 3 else ()
        identity = {"space": "nasbench201", "encoding": encoding, "canonical_hash": canonical_hash, "seed": 0}
        store.add_candidate("runner", search_id, number, **identity, parents=parents)
        metrics = {"accuracy": accuracy, "loss": 1.0, "params": params, "flops": 10 * params, "seconds": 0.5}
        store.finish_candidate("runner", search_id, number, metrics=metrics, loss_curve=[1.0])
    store.add_candidate("runner", search_id, 4, space="nasbench201", encoding="|", canonical_hash="", seed=0)
    store.finish_candidate("runner", search_id, 4, error={"reason": "=out of memory", "detail": ""})
    return search_id


def test_the_best_so_far(http: TestClient, real_search: str) -> None:
    answer = http.get(f"/v1/searches/{real_search}/trajectory").json()
    assert (answer["objective"], answer["direction"], answer["done"]) == ("accuracy", "max", 5)
    assert answer["number"] == [0, 1, 3]
    assert answer["completion"] == [1, 2, 4]
    assert answer["value"] == [0.5, 0.7, 0.9]
    assert answer["seconds"] == sorted(answer["seconds"])
    assert answer["seconds"][0] >= 0
    assert answer["elapsed"] >= answer["seconds"][-1]


def test_points_and_their_front(http: TestClient, real_search: str) -> None:
    answer = http.get(f"/v1/searches/{real_search}/points", params={"x": "params", "y": "accuracy"}).json()
    assert (answer["total"], answer["number"], answer["best"]) == (4, [0, 1, 2, 3], 3)
    assert answer["columns"]["accuracy"] == [0.5, 0.7, 0.6, 0.9]
    assert answer["columns"]["params"] == [300, 300, 100, 500]
    assert answer["pareto"] == [1, 2, 3]
    nothing = http.get(f"/v1/searches/{real_search}/points", params={"x": "latency_ms"}).json()
    assert (nothing["total"], nothing["number"], nothing["pareto"], nothing["best"]) == (0, [], [], None)


def test_importance_by_hand(http: TestClient, real_search: str) -> None:
    answer = http.get(f"/v1/searches/{real_search}/importance").json()
    assert (answer["metric"], answer["candidates"], answer["total"]) == ("accuracy", 4, 4)
    last = next(each for each in answer["choices"] if each["choice"] == "0→3")
    skip = next(each for each in last["options"] if each["option"] == "skip_connect")
    assert (skip["n_with"], skip["n_without"]) == (2, 2)
    assert skip["mean_with"] == pytest.approx(0.8)
    assert skip["difference"] == pytest.approx(0.25)
    by_params = http.get(f"/v1/searches/{real_search}/importance", params={"metric": "params"}).json()
    assert by_params["direction"] == "min"


def test_choices_begin_with_the_best(http: TestClient, real_search: str) -> None:
    answer = http.get(f"/v1/searches/{real_search}/choices", params={"limit": 3}).json()
    assert answer["total"] == 4
    assert answer["number"][:2] == [3, 1]
    assert len(answer["number"]) == len(answer["codes"]) == 3
    names = list(answer["choices"])
    told = {name: answer["choices"][name][code] for name, code in zip(names, answer["codes"][0], strict=True)}
    assert told["0→1"] == "nor_conv_1x1"
    assert told["0→3"] == "skip_connect"


def test_an_empty_search_has_empty_plots(http: TestClient, search_id: str) -> None:
    assert http.get(f"/v1/searches/{search_id}/trajectory").json()["value"] == []
    assert http.get(f"/v1/searches/{search_id}/points").json()["number"] == []
    assert http.get(f"/v1/searches/{search_id}/importance").json()["candidates"] == 0
    assert http.get(f"/v1/searches/{search_id}/choices").json()["codes"] == []
    assert http.get(f"/v1/searches/{search_id}/download", params={"format": "json"}).json() == []


def test_many_points_are_thinned(
    http: TestClient, store: Store, search_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
    chance = np.random.default_rng(0)
    encoding, space = CELLS[0][2], "nasbench201"
    for number in range(300):
        store.add_candidate(
            "runner", search_id, number, space=space, encoding=encoding, canonical_hash=str(number), seed=0
        )
        measured = {"accuracy": chance.random(), "params": int(chance.integers(1000))}
        metrics = {"loss": 1.0, "flops": 1, "seconds": 0.1, **measured}
        store.finish_candidate("runner", search_id, number, metrics=metrics)
    answer = http.get(f"/v1/searches/{search_id}/points", params={"limit": 100}).json()
    assert answer["total"] == 300
    assert 100 <= len(answer["number"]) <= 100 + len(answer["pareto"]) + 1
    assert set(answer["pareto"]) | {answer["best"]} <= set(answer["number"])


def test_a_download_holds_what_the_selection_holds(http: TestClient, real_search: str) -> None:
    path = f"/v1/searches/{real_search}/download"
    answer = http.get(path)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f"{real_search}-candidates.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["number"] for row in rows] == ["3", "1", "2", "0", "4"]
    assert rows[0]["accuracy"] == "0.9"
    assert rows[0]["encoding"] == CELLS[3][2]
    assert rows[0]["parents"] == f"{real_search}-1 {real_search}-2"
    assert rows[4]["error"] == "'=out of memory", "no formula for a spreadsheet"
    selection = {"max_params": 300, "order_by": "number"}
    listed = http.get(path, params={"format": "json", **selection}).json()
    assert [each["number"] for each in listed] == [0, 1, 2]
    page = http.get(
        f"/v1/searches/{real_search}/candidates", params={"max_params": 300, "order_by": "number"}
    )
    assert listed == page.json()["items"]


def test_a_download_reads_on_page_after_page(
    http: TestClient, real_search: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = http.get(f"/v1/searches/{real_search}/download").text
    monkeypatch.setattr("services.controller.routes.search_download.AT_A_TIME", 2)
    assert http.get(f"/v1/searches/{real_search}/download").text == whole


def test_bounds_on_both_sides(http: TestClient, real_search: str) -> None:
    def numbers(**bounds: float) -> list[int]:
        answer = http.get(f"/v1/searches/{real_search}/candidates", params=bounds)
        assert answer.status_code == 200, answer.text
        return [each["number"] for each in answer.json()["items"]]

    assert numbers(min_accuracy=0.55, max_accuracy=0.75) == [1, 2]
    assert numbers(min_params=200, max_params=400) == [1, 0]
    assert numbers(min_flops=4000) == [3]
    assert numbers(max_seconds=0.4) == []
    assert numbers(min_latency_ms=0) == []


def test_cost_by_part(http: TestClient, real_search: str) -> None:
    answer = http.get(f"/v1/candidates/{real_search}-3/cost").json()
    assert answer["parts"][0]["name"] == "stem"
    assert answer["parts"][-1]["output_shape"] == [10]
    assert sum(part["params"] for part in answer["parts"]) == answer["params"] > 0
    assert sum(part["flops"] for part in answer["parts"]) == answer["flops"] > 0


def test_lineage_with_changes(http: TestClient, real_search: str) -> None:
    answer = http.get(f"/v1/candidates/{real_search}-3/lineage").json()
    assert answer["recorded"]
    assert [each["candidate"]["number"] for each in answer["line"]] == [3, 1]
    assert answer["line"][0]["parents"] == [f"{real_search}-1", f"{real_search}-2"]
    assert answer["line"][0]["changes"] == [
        {"choice": "0→1", "before": "none", "after": "nor_conv_1x1"},
        {"choice": "1→3", "before": "none", "after": "nor_conv_1x1"},
    ]
    assert answer["line"][1]["changes"] == []
    parent = http.get(f"/v1/candidates/{real_search}-2/lineage").json()
    assert [child["candidate"]["number"] for child in parent["children"]] == [3]
    assert not http.get(f"/v1/candidates/{real_search}-0/lineage").json()["recorded"]


def test_similar_candidates_are_near_then_good(http: TestClient, real_search: str) -> None:
    answer = http.get(f"/v1/candidates/{real_search}-1/similar", params={"limit": 2}).json()
    assert (answer["compared"], answer["total"]) == (3, 3)
    assert [each["candidate"]["number"] for each in answer["similar"]] == [0, 3]
    assert [len(each["changes"]) for each in answer["similar"]] == [1, 2]


def test_drawings(http: TestClient, real_search: str) -> None:
    for name in ("cells", "network"):
        answer = http.get(f"/v1/candidates/{real_search}-3/{name}.svg")
        assert answer.headers["content-type"].startswith("image/svg+xml")
        assert answer.text.startswith("<svg")
        tag = answer.headers["etag"]
        again = http.get(f"/v1/candidates/{real_search}-3/{name}.svg", headers={"If-None-Match": tag})
        assert again.status_code == 304
