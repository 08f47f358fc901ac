"""What listens on this machine's loopback is asked directly, whatever proxy the environment names."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from services.client import Client, ControllerUnreachableError
from services.controller.cluster import cluster_view
from services.errors import ClusterUnavailableError
from services.local_stack import LocalStack
from services.loopback import is_loopback, names_loopback
from services.ray_jobs import RayJobs
from services.settings import Settings
from services.shutdown import Shutdown
from services.store import Store

NO_PROXY_THERE = "http://127.0.0.1:9"


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that answers all with an empty list, and an environment in which only a proxy leads out."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NO_PROXY_THERE)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = HTTPServer(("127.0.0.1", 0), _Answering)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"items": [], "next_cursor": null}' if "/v1/" in self.path else b"[]")

    def log_message(self, *_: object) -> None:
        pass


def test_the_client_asks_a_controller_here_directly(url: str) -> None:
    with Client(url, retries=0) as client:
        assert list(client.list_searches()) == []


def test_the_stack_finds_its_controller_ready(
    url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.local_stack.READY_SECONDS", 5.0)
    stack = LocalStack(settings.model_copy(update={"port": 0}))
    stack.url = url

    stack.wait_until_ready(Shutdown())  # raises when it is not


def test_a_ray_head_here_is_asked_directly(url: str, store: Store) -> None:
    assert RayJobs(url).list() == []
    with pytest.raises(ClusterUnavailableError, match="no Ray dashboard"):  # it has answered
        cluster_view(store, url)


def test_elsewhere_the_proxy_is_asked(url: str) -> None:
    with (
        Client("http://controller.invalid", retries=0) as client,
        pytest.raises(ControllerUnreachableError, match="refused"),
    ):
        list(client.list_searches())


@pytest.mark.parametrize("proxy", ["socks://127.0.0.1:9", "no proxy at all://"])
def test_a_proxy_that_cannot_be_used_is_told_in_one_line(
    url: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)

    with pytest.raises(ControllerUnreachableError, match="the proxy that the environment names"):
        Client("http://controller.invalid")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:0.0.0.0", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
    assert names_loopback(f"http://{f'[{host}]' if ':' in host else host}:8000/v1") == loopback


def test_what_is_no_address_is_not_loopback() -> None:
    assert not names_loopback("http://[127.0.0.1")
