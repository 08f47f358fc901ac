"""What listens on this machine's loopback is asked directly, whatever proxy the environment names."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from services.client import Client, ControllerUnreachableError
from services.controller.cluster import cluster_view
from services.dispatch.ray_jobs import RayJobs
from services.errors import ClusterUnavailableError
from services.local_stack import LocalStack
from services.loopback import is_loopback, names_loopback
from services.settings import Settings
from services.shutdown import Shutdown
from services.store import Store

NO_PROXY_THERE = "http://127.0.0.1:9"

OF_LOCALHOST = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgqD1LNcMMex5g+qLr
aKuVbvYoC2pDXOETAsTMbdhU356hRANCAAS3ygrRhM1gOCB3xeVyogocxq0N5tdM
7NqqKQ8qFPZ45wJifUGf75IGFkzuMaoWv2qDwB9fFAyunwADeDBDj5l/
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBQDCB6KADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCWxvY2FsaG9z
dDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFDESMBAGA1UEAwwJ
bG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEt8oK0YTNYDggd8Xl
cqIKHMatDebXTOzaqikPKhT2eOcCYn1Bn++SBhZM7jGqFr9qg8AfXxQMrp8AA3gw
Q4+Zf6MpMCcwFAYDVR0RBA0wC4IJbG9jYWxob3N0MA8GA1UdEwEB/wQFMAMBAf8w
CgYIKoZIzj0EAwIDRwAwRAIgeJVY7QVq+3gBakmtJ2W6Vd0ysluS3+DD6Y1s4EMW
K+sCIBtV/nMepkVTugnplNzMt2UBaw2Gi+AMYQdqttcN31Ip
-----END CERTIFICATE-----
"""
"""A key and its certificate, for this test alone."""


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


def test_certificates_of_the_environment_count_here_as_well(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy with TLS may stand before the controller, with a certificate of a company's own."""
    certificate = tmp_path / "localhost.pem"
    certificate.write_text(OF_LOCALHOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.handle_request, daemon=True).start()
        with Client(f"https://localhost:{server.server_port}", retries=0) as client:
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
