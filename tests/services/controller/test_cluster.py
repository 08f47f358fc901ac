"""The cluster as Ray's dashboard tells it. The answer is one of Ray 2.60, without what is not looked at."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.controller.app import create_app
from services.settings import Settings

HEAD, WORKER, DEAD = "9cbb9ca2", "50aa71c3", "c0ffee00"


def _node(
    node_id: str, address: str, state: str, resources: dict[str, float], *, head: bool
) -> dict[str, Any]:
    raylet = {"nodeId": node_id, "nodeManagerAddress": address, "state": state, "isHeadNode": head}
    return {"hostname": "vm", "cpu": 99.8, "raylet": raylet | {"resourcesTotal": resources}}


DASHBOARD = {
    "result": True,
    "msg": "Node summary fetched.",
    "data": {
        "summary": [
            _node(
                HEAD, "10.0.0.1", "ALIVE", {"CPU": 2.0, "memory": 17e9, "node:InternalHead": 1.0}, head=True
            ),
            _node(WORKER, "10.0.0.2", "ALIVE", {"CPU": 8.0, "GPU": 2.0}, head=False),
            _node(DEAD, "10.0.0.3", "DEAD", {}, head=False),
        ],
        "nodeLogicalResources": {
            HEAD: "0.0/2.0 CPU\n0B/15.88GiB memory\n0B/6.80GiB object_store_memory",
            WORKER: "3.0/8.0 CPU (3.0 used of 4.0 reserved in placement groups)\n0.5/2.0 GPU\n0B/1GiB memory",
        },
    },
}


class Dashboard(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/nodes?view=summary" else 404)
        self.end_headers()
        self.wfile.write(json.dumps(DASHBOARD).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def http(settings: Settings) -> Iterator[TestClient]:
    with HTTPServer(("127.0.0.1", 0), Dashboard) as dashboard:
        threading.Thread(target=dashboard.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{dashboard.server_port}/"
        on_ray = Settings(**{**dict(settings), "ray_jobs_url": url})
        with TestClient(create_app(on_ray), base_url="http://127.0.0.1") as http:
            yield http
        dashboard.shutdown()


def test_nodes_and_their_sums_over_those_that_live(http: TestClient) -> None:
    cluster = http.get("/v1/cluster").json()

    assert cluster["source"] == "ray"
    assert [(node["id"], node["alive"], node["head"]) for node in cluster["nodes"]] == [
        (HEAD, True, True), (WORKER, True, False), (DEAD, False, False),
    ]  # fmt: skip
    assert cluster["nodes"][1]["cpus"] == {"total": 8, "busy": 3, "free": 5}
    assert cluster["nodes"][1]["gpus"] == {"total": 2, "busy": 0.5, "free": 1.5}
    assert cluster["cpus"] == {"total": 10, "busy": 3, "free": 7}
    assert cluster["gpus"] == {"total": 2, "busy": 0.5, "free": 1.5}
    assert cluster["running_searches"] == []


class LoginPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Who are you?</html>" if "html" in self.server.says else b'{"data": null}')  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("says", ["html", "json"])
def test_what_is_no_ray_dashboard_takes_nothing_else_along(settings: Settings, says: str) -> None:
    with HTTPServer(("127.0.0.1", 0), LoginPage) as proxy:
        proxy.says = says  # type: ignore[attr-defined]
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{proxy.server_port}/"
        behind = Settings(**{**dict(settings), "ray_jobs_url": url})
        with TestClient(create_app(behind), base_url="http://127.0.0.1") as http:
            answer = http.get("/v1/cluster")
            metrics, page = http.get("/metrics"), http.get("/overview/cluster")
        proxy.shutdown()
    assert answer.status_code == 503
    assert "is no Ray dashboard" in answer.json()["detail"]
    assert "gtn_nas_cluster_up 0.0" in metrics.text
    assert (metrics.status_code, page.status_code) == (200, 200)
