"""Secrets stay secret in what a real controller process writes, at its most talkative."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from services.store import Scope, open_store

PASSWORD = "p4ssw0rd-of-the-database"
BOOTSTRAP = "bootstrap-key-of-a-test"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_neither_keys_nor_passwords_appear_in_debug_logs_or_answers(
    database_url: str, tmp_path: Path
) -> None:
    with open_store(database_url) as store:
        _, token = store.create_api_key("client", [Scope.SUBMIT])
    with_password = database_url.replace(":@", f":{PASSWORD}@")
    assert with_password != database_url
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log_path = tmp_path / "controller.log"
    environment = {
        **os.environ, "GTN_NAS_DATABASE_URL": with_password, "GTN_NAS_DATA_DIR": str(tmp_path / "data"),
        "GTN_NAS_PORT": str(port), "GTN_NAS_LOG_LEVEL": "debug", "GTN_NAS_API_KEY": BOOTSTRAP,
    }  # fmt: skip
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "serve"], env=environment, stderr=log, stdout=log
        )
    try:
        answers = _talk(f"http://127.0.0.1:{port}", token)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    written = log_path.read_text()
    assert "debug" in written
    assert written.count("/v1/searches") >= 4
    for secret in (PASSWORD, BOOTSTRAP, token, token.split("_", 2)[2], "a-key-that-is-wrong"):
        assert secret not in written
        assert not any(secret in answer for answer in answers)


def _talk(url: str, token: str) -> list[str]:
    """Requests that succeed, that are refused, and that fail."""
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx2.get(f"{url}/healthz")
            break
        except httpx2.TransportError:
            assert time.monotonic() < deadline, "the controller does not start"
            time.sleep(0.1)
    http = httpx2.Client(base_url=url, timeout=60)
    answers = []
    for key in (token, BOOTSTRAP, "a-key-that-is-wrong"):
        headers = {"Authorization": f"Bearer {key}", "X-Api-Key": key, "Cookie": f"key={key}"}
        answers += [
            http.get("/v1/searches", headers=headers).text,
            http.get("/v1/searches", params={"nosuch": 1}, headers=headers).text,
            http.post("/v1/searches", json={"name": 1}, headers=headers).text,
            http.post("/v1/checkpoints", content=b"x", headers=headers).text,
            http.get("/readyz", headers=headers).text,
            http.get("/metrics", headers=headers).text,
        ]
    return answers
