"""Traces across processes, received by a real collector: request, search, candidates in one trace."""

import gzip
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gtn_core import FrozenCheckpoint
from services import telemetry
from services.errors import ServiceError

from ..ports import free_port
from ..waiting import wait_until

pytestmark = pytest.mark.xdist_group("ray")

END_SECONDS = 120
TRACE_ID, CLIENT_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass(frozen=True)
class Span:
    """What the collector was told of a span."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any] = field(hash=False)


class Collector:
    """An OTLP receiver (HTTP, protobuf) that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.spans += _spans(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        names = {each.key: each.value.string_value for each in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    names["service.name"],
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    {
                        each.key: getattr(each.value, each.value.WhichOneof("value"))
                        for each in span.attributes
                    },
                )


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def controller(tmp_path: Path, collector: Collector) -> Iterator[tuple[str, Path]]:
    """A real controller with traces on; the URL, and its log."""
    port = free_port(taken=())
    environment = {
        **os.environ, "GTN_NAS_DATA_DIR": str(tmp_path / "data"), "GTN_NAS_PORT": str(port),
        "GTN_NAS_LOG_JSON": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }  # fmt: skip
    log_path = tmp_path / "controller.log"
    with log_path.open("wb") as log:
        command = [sys.executable, "-m", "services.cli", "serve"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url) or process.poll() is not None, END_SECONDS)
        assert process.poll() is None, log_path.read_text()
        yield url, log_path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_a_search_hangs_under_the_request_that_submitted_it(
    controller: tuple[str, Path], collector: Collector, checkpoint: FrozenCheckpoint, tmp_path: Path
) -> None:
    url, log_path = controller
    http = httpx2.Client(base_url=url, timeout=60)
    http.post(
        "/v1/checkpoints",
        content=checkpoint.to_bytes(),
        headers={"Content-Type": "application/octet-stream"},
    ).raise_for_status()
    body = {
        "checkpoint_id": checkpoint.id,
        "search_space": {"name": "nasbench201", "channels": 4},
        "max_candidates": 2,
        "max_concurrent": 1,
    }
    headers = {"traceparent": f"00-{TRACE_ID}-{CLIENT_SPAN}-01", "X-Request-ID": "the-request"}
    search_id = http.post("/v1/searches", json=body, headers=headers).raise_for_status().json()["id"]

    def ended() -> bool:
        return bool(http.get(f"/v1/searches/{search_id}").json()["state"] == "succeeded")

    wait_until(ended, END_SECONDS)
    wait_until(lambda: any(span.name == "search job" for span in collector.spans), END_SECONDS)

    mine = [span for span in collector.spans if span.trace_id == TRACE_ID]
    (request,) = (span for span in mine if span.name == "POST /v1/searches")
    (job,) = (span for span in mine if span.name == "search job")
    candidates = [span for span in mine if span.name == "candidate"]
    by_id = {span.span_id: span for span in mine}
    assert (request.service, request.parent_id) == ("gtn-nas-controller", CLIENT_SPAN)
    assert job.service == "gtn-nas-search-runner"
    assert request in _ancestors(job, by_id)
    assert job.attributes["gtn_nas.job.id"] == search_id
    assert job.attributes["gtn_nas.job.ending"] == "succeeded"
    assert [span.parent_id for span in candidates] == [job.span_id] * 2
    assert {span.attributes["gtn_nas.candidate.number"] for span in candidates} == {0, 1}
    assert all(0 <= span.attributes["gtn_nas.candidate.accuracy"] <= 1 for span in candidates)
    runner_log = (tmp_path / "data" / "logs" / f"search-{search_id}.log").read_text()
    assert '"request_id": "the-request"' in runner_log
    assert search_id in runner_log
    assert TRACE_ID in runner_log
    assert TRACE_ID in log_path.read_text()


def test_without_a_collector_nothing_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    made: list[Any] = []
    monkeypatch.setattr(telemetry.trace, "set_tracer_provider", made.append)
    telemetry.configure_telemetry(process="test")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    for name, value in (("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")):
        with monkeypatch.context() as off:
            off.setenv(name, value)
            telemetry.configure_telemetry(process="test")

    assert made == []
    assert telemetry.current_origin() == {}


def test_a_missing_exporter_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(ServiceError, match=r"gtn-nas\[telemetry\]"):
        telemetry.configure_telemetry(process="test")


def _ancestors(span: Span, by_id: dict[str, Span]) -> Iterator[Span]:
    while span.parent_id in by_id:
        span = by_id[span.parent_id]
        yield span


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz").is_success
    except httpx2.TransportError:
        return False
