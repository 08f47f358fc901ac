"""The Jobs API where something else answers. With a real cluster: `runners/test_ray_jobs_launcher.py`."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from services.dispatch.ray_jobs import RayJobs
from services.errors import ClusterUnavailableError


class LoginPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.says)  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(params=[b"<html>Who are you?</html>", b"[]", b"[1]", b"null", b'{"status": "RUNNING"}'])
def jobs(request: pytest.FixtureRequest) -> Iterator[RayJobs]:
    with HTTPServer(("127.0.0.1", 0), LoginPage) as server:
        server.says = request.param  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield RayJobs(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_what_is_no_ray_dashboard_submits_and_stops_nothing(jobs: RayJobs) -> None:
    with pytest.raises(ClusterUnavailableError, match="no Ray dashboard"):
        jobs.submit("true", "a-1", environment={}, resources={})
    with pytest.raises(ClusterUnavailableError, match="no Ray dashboard"):
        jobs.stop("a-1")
    with pytest.raises(ClusterUnavailableError, match="no Ray dashboard"):
        jobs.get("a-1")
    assert jobs.logs("a-1") == ""
