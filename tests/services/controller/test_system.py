"""Health, readiness, metrics, cluster, catalogue, and the page for people."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fastapi.testclient import TestClient
from joblib import cpu_count
from prometheus_client.parser import text_string_to_metric_families

from gtn_core import DatasetSpec
from services.controller.app import create_app
from services.controller.metrics import REASONS, ClusterCollector, bounded
from services.errors import ClusterUnavailableError, StoreUnavailableError
from services.lifecycle import CandidateState, JobKind
from services.schemas import Capacity, ClusterView
from services.settings import Settings
from services.store import Store, downgrade


class ThreadOfATest:
    """Stands where the dispatcher does."""

    def __init__(self) -> None:
        self.trouble: str | None = "has not begun"

    def start(self) -> None:
        self.trouble = None

    def stop(self) -> None:
        self.trouble = "has stopped"


@pytest.mark.parametrize("path", ["/healthz", "/", "/v1/searches", "/v1/nosuch", "/static/dashboard.css"])
def test_head_is_get_without_its_body(http: TestClient, path: str) -> None:
    head, get = http.head(path), http.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert head.headers.get("Content-Length") == get.headers.get("Content-Length")


def test_head_changes_nothing_and_opens_no_stream(http: TestClient, search_id: str) -> None:
    assert http.head(f"/v1/searches/{search_id}/events").status_code == 405
    assert http.head(f"/v1/searches/{search_id}/cancel").status_code == 405
    assert http.get(f"/v1/searches/{search_id}").json()["state"] == "queued"


def test_the_process_tells_that_it_lives(http: TestClient) -> None:
    assert http.get("/healthz").json()["status"] == "ok"


def test_the_dispatcher_runs_as_long_as_the_application_and_tells_its_trouble(settings: Settings) -> None:
    dispatcher = ThreadOfATest()
    with TestClient(create_app(settings, dispatcher=dispatcher)) as http:
        ready = http.get("/readyz")
        dispatcher.trouble = "the disk is full"
        troubled = http.get("/readyz")

    assert dispatcher.trouble == "has stopped", "with the application"
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert {check["name"] for check in ready.json()["checks"]} == {"database", "artifacts", "dispatcher"}
    assert troubled.status_code == 503
    (check,) = (check for check in troubled.json()["checks"] if not check["ready"])
    assert (check["name"], check["detail"]) == ("dispatcher", "the disk is full")


def test_a_database_that_does_not_answer_is_not_ready_and_holds_no_probe(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.controller.readiness.ANSWER_SECONDS", 0.1)
    frozen, thawed = threading.Event(), threading.Event()
    monkeypatch.setattr(Store, "check", lambda _: frozen.is_set() and thawed.wait())
    with TestClient(create_app(settings)) as http:
        frozen.set()
        answer = http.get("/readyz")
        thawed.set()
    assert answer.status_code == 503
    (check,) = (check for check in answer.json()["checks"] if not check["ready"])
    assert (check["name"], check["detail"]) == ("database", "has not answered within 0.1 s")


def test_artifacts_that_are_away_are_not_ready_and_say_so(
    http: TestClient, settings: Settings, checkpoint_id: str
) -> None:
    parent = Path(settings.resolved_artifacts_url).parent
    parent.rename(parent.with_name("elsewhere"))
    parent.touch()

    ready = http.get("/readyz")
    asked = http.get(f"/v1/checkpoints/{checkpoint_id}/download")

    (check,) = (check for check in ready.json()["checks"] if not check["ready"])
    assert (ready.status_code, check["name"]) == (503, "artifacts")
    assert (asked.status_code, asked.json()["type"]) == (503, "urn:gtn-nas:problem:unavailable")
    assert "does not answer" in asked.json()["detail"]


def test_a_schema_of_another_version_is_not_ready(http: TestClient, settings: Settings) -> None:
    downgrade(settings.resolved_database_url, "base")

    answer = http.get("/readyz")

    (database,) = (check for check in answer.json()["checks"] if check["name"] == "database")
    assert (answer.status_code, database["ready"]) == (503, False)
    assert "gtn-nas db upgrade" in database["detail"]


def _samples(http: TestClient) -> dict[tuple[str, ...], float]:
    """Metric name, and label values in the order of the labels' names, to the value."""
    families = text_string_to_metric_families(http.get("/metrics").text)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_count_jobs_candidates_and_requests(http: TestClient, scored_search: str) -> None:
    http.get(f"/v1/searches/{scored_search}")
    http.get(f"/v1/searches/{scored_search}")
    http.get("/v1/nosuch")
    for invented in ("BREW", "STEEP"):
        http.request(invented, "/v1/nosuch")

    samples = _samples(http)

    assert samples["gtn_nas_database_up",] == 1
    assert samples["gtn_nas_ready", "database"] == samples["gtn_nas_ready", "artifacts"] == 1
    assert samples["gtn_nas_jobs", "search", "running"] == 1
    assert samples["gtn_nas_waiting_jobs", "search"] == 0
    assert samples["gtn_nas_candidates", "", "succeeded"] == 3
    assert samples["gtn_nas_http_request_seconds_count", "GET", "/v1/searches/{search_id}", "200"] == 2
    assert samples["gtn_nas_http_request_seconds_count", "GET", "unmatched", "404"] == 1
    assert samples["gtn_nas_http_request_seconds_count", "other", "unmatched", "404"] == 2


def test_failed_candidates_are_counted_by_their_reason(
    http: TestClient, store: Store, scored_search: str
) -> None:
    for number in (5, 6):
        store.add_candidate(
            "runner", scored_search, number, space="nasbench201", encoding="", canonical_hash="", seed=0
        )
        error = {"reason": "out of memory", "detail": "…"}
        store.finish_candidate("runner", scored_search, number, error=error)

    assert _samples(http)["gtn_nas_candidates", "out of memory", "failed"] == 2


def test_reasons_without_end_make_no_series_without_end() -> None:
    failed = CandidateState.FAILED
    rare = {(failed, f"loss {number}"): 1 for number in range(REASONS + 3)}
    counts = bounded({(failed, "out of memory"): 9, (CandidateState.SUCCEEDED, None): 5, **rare})
    assert len(counts) == REASONS + 2
    assert counts[failed, "out of memory"] == 9
    assert counts[failed, "others"] == 4
    assert counts[CandidateState.SUCCEEDED, None] == 5
    assert counts.total() == 9 + 5 + len(rare)


def test_scoring_seconds_are_a_histogram(
    http: TestClient, store: Store, scored_search: str, succeed: Callable[..., None]
) -> None:
    succeed(scored_search, 10, seconds=0.07)
    succeed(scored_search, 11, seconds=99.0)

    samples = _samples(http)

    buckets = {
        float(labels[0]): value
        for (name, *labels), value in samples.items()
        if name == "gtn_nas_scoring_seconds_bucket"
    }
    assert (buckets[0.05], buckets[0.1], buckets[0.25], buckets[60.0]) == (0, 1, 4, 4)
    assert buckets[float("inf")] == samples["gtn_nas_scoring_seconds_count",] == 5
    assert samples["gtn_nas_scoring_seconds_sum",] == pytest.approx(3 * 0.25 + 0.07 + 99.0)


def test_counters_do_not_fall_when_a_search_is_deleted(http: TestClient, scored_search: str) -> None:
    """A counter that falls has begun anew for Prometheus: all that it then shows would have just happened."""
    before = _samples(http)
    http.post(f"/v1/searches/{scored_search}/cancel")
    assert http.delete(f"/v1/searches/{scored_search}").status_code == 204

    after = _samples(http)

    assert before["gtn_nas_scoring_seconds_count",] == 3
    assert ("gtn_nas_candidates", "", "succeeded") not in after
    counted = [name for name in before if name[0].startswith(("gtn_nas_scoring_seconds", "gtn_nas_lease"))]
    assert [after[name] for name in counted] == [before[name] for name in counted]


def test_runners_that_fell_silent_are_counted(http: TestClient, store: Store, search_id: str) -> None:
    for _ in range(2):
        assert store.claim(JobKind.SEARCH, "runner", -1, job_id=search_id)
        store.requeue_expired()
    assert store.claim(JobKind.SEARCH, "orderly", 60, job_id=search_id)
    store.release(search_id, "orderly")

    assert _samples(http)["gtn_nas_lease_losses_total", "search"] == 2


def test_the_cluster_is_asked_now_and_then_and_may_be_away(http: TestClient) -> None:
    samples = _samples(http)
    assert samples["gtn_nas_cluster_up",] == 1
    assert samples["gtn_nas_cluster_cpus", "total"] == cpu_count()
    assert samples["gtn_nas_event_streams",] == 0

    asked, now = [], [0.0]

    def away() -> ClusterView:
        asked.append(now[0])
        raise ClusterUnavailableError("no Ray here")

    collector = ClusterCollector(away, clock=lambda: now[0])
    values = []
    for now[0] in (0.0, 1.0, 14.0, 15.0):
        values += [sample.value for family in collector.collect() for sample in family.samples]
    assert asked == [0.0, 15.0]
    assert values == [0, 0, 0, 0]


def test_who_scrapes_while_the_cluster_is_asked_gets_its_answer_too() -> None:
    node = Capacity(total=2, busy=1, free=1)
    view = ClusterView(source="ray", nodes=[], cpus=node, gpus=node, running_searches=[])
    asked, answer = threading.Event(), threading.Event()

    def slow() -> ClusterView:
        asked.set()
        assert answer.wait(30)
        return view

    collector = ClusterCollector(slow)

    def up() -> float:
        return next(collector.collect()).samples[0].value

    with ThreadPoolExecutor(2) as scrapers:
        first = scrapers.submit(up)
        assert asked.wait(30)
        second = scrapers.submit(up)
        with pytest.raises(TimeoutError):
            second.result(0.2)
        answer.set()
        assert (first.result(30), second.result(30)) == (1, 1)


def test_metrics_say_when_the_database_is_away(
    http: TestClient, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise StoreUnavailableError("the database does not answer")

    monkeypatch.setattr(app.state.store, "count_jobs", away)

    samples = _samples(http)
    assert samples["gtn_nas_database_up",] == 0
    assert not any(name.startswith("gtn_nas_jobs") for name, *_ in samples)


def test_two_applications_in_one_process_count_apart(settings: Settings) -> None:
    one, two = (TestClient(create_app(settings), base_url="http://127.0.0.1") for _ in range(2))
    with one, two:
        one.get("/healthz")
        names = [name for name, *labels in _samples(two) if "/healthz" in labels]

    assert names == []


def test_this_machine_is_as_busy_as_its_candidates(
    http: TestClient, store: Store, scored_search: str, propose: Callable[..., None]
) -> None:
    propose(scored_search, 7)

    cluster = http.get("/v1/cluster").json()

    assert cluster["source"] == "this machine"
    assert cluster["cpus"]["total"] == cpu_count()
    assert cluster["cpus"]["busy"] == 1
    assert cluster["cpus"]["free"] == cpu_count() - 1
    assert [node["alive"] for node in cluster["nodes"]] == [True]
    assert cluster["running_searches"] == [{"id": scored_search, "name": "", "done": 4, "total": 5}]


@pytest.fixture
def of_a_lost_cluster(settings: Settings) -> Iterator[TestClient]:
    lost = Settings(**{**dict(settings), "ray_jobs_url": "http://127.0.0.1:9"})
    with TestClient(create_app(lost), base_url="http://127.0.0.1") as http:
        yield http


def test_a_cluster_that_does_not_answer_is_a_503(of_a_lost_cluster: TestClient) -> None:
    answer = of_a_lost_cluster.get("/v1/cluster")

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:gtn-nas:problem:unavailable"
    assert "GTN_NAS_RAY_JOBS_URL" in answer.json()["remedy"]


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("search-spaces", {"nasbench201"}),
        ("algorithms", {"random_search", "regularized_evolution"}),
        ("estimators", {"gtn", "real_data"}),
        ("datasets", {"digits", "mnist", "cifar10", "npz", "folder"}),
    ],
)
def test_the_catalogue_describes_everything_with_a_schema(
    http: TestClient, kind: str, known: set[str]
) -> None:
    answer = http.get(f"/v1/{kind}").json()

    assert known <= {entry["name"] for entry in answer["items"]}
    assert answer["next_cursor"] is None
    for entry in answer["items"]:
        assert entry["description"]
        assert entry["schema"]["type"] == "object"
        jsonschema.Draft202012Validator.check_schema(entry["schema"])


@pytest.mark.parametrize("kind", ["search-spaces", "algorithms", "estimators", "datasets"])
def test_the_catalogue_comes_in_pages_as_other_lists_do(http: TestClient, kind: str) -> None:
    names: list[str] = []
    query: dict[str, Any] = {"limit": 1}
    while len(names) < 100:
        page = http.get(f"/v1/{kind}", params=query).json()
        (entry,) = page["items"]
        names.append(entry["name"])
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert names == [entry["name"] for entry in http.get(f"/v1/{kind}").json()["items"]]
    assert len(names) > 1
    for bad in ({"limit": 0}, {"cursor": "invented"}):
        assert http.get(f"/v1/{kind}", params=bad).status_code == 422
    if kind != "datasets":
        assert http.get("/v1/datasets", params={"cursor": query["cursor"]}).status_code == 422


def test_schemas_of_data_sets_accept_what_the_api_accepts(http: TestClient) -> None:
    schemas = {entry["name"]: entry["schema"] for entry in http.get("/v1/datasets").json()["items"]}

    def accepts(name: str, dataset: dict[str, Any]) -> bool:
        validator = jsonschema.Draft202012Validator(schemas[name])
        return bool(validator.is_valid(DatasetSpec(**dataset).model_dump(exclude_none=True)))

    assert accepts("digits", {"name": "digits"})
    assert not accepts("digits", {"name": "digits", "path": "/x"})
    assert accepts("mnist", {"name": "mnist", "path": "/x"})
    assert not accepts("mnist", {"name": "mnist"})
    assert not accepts("mnist", {"name": "digits", "path": "/x"})


def test_the_page_lists_the_latest_searches_and_escapes_their_names(
    http: TestClient, search_body: dict[str, Any]
) -> None:
    name = "<script>alert(1)</script>"
    search = http.post("/v1/searches", json=search_body | {"name": name}).json()

    page = http.get("/")

    assert page.headers["Content-Type"].startswith("text/html")
    assert search["id"] in page.text
    assert name not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


def test_a_search_with_a_name_of_blanks_alone_can_be_seen_and_opened(
    http: TestClient, search_body: dict[str, Any]
) -> None:
    search = http.post("/v1/searches", json=search_body | {"name": " \u3000 "}).json()
    assert search["name"] == ""
    assert f'href="/searches/{search["id"]}">search {search["id"]}</a>' in http.get("/").text


def test_the_page_shows_no_searches_where_keys_are_asked_for(
    http: TestClient, store: Store, search_id: str
) -> None:
    assert search_id in http.get("/").text
    assert search_id not in http.get("/", headers={"Host": "evil.example"}).text
    store.create_api_key("first", [])
    assert search_id not in http.get("/").text
