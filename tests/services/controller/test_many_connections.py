"""A controller with more clients than the system lets it have."""

import select
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

import httpx2
import pytest
from fastapi import FastAPI

from services.controller import descriptors

from ...waiting import wait_until

LIMITS = """
import resource
from services.controller.descriptors import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200))
print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_limit_on_open_files_is_raised_as_far_as_it_goes() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["200", "200", "200"]


def test_clients_beyond_the_limit_are_sent_away_and_come_again(
    app: FastAPI,
    serving: Callable[[FastAPI], AbstractContextManager[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(descriptors, "raise_limit", lambda: 4)
    with serving(app) as url:
        with httpx2.Client(base_url=url) as first:
            assert first.get("/healthz").status_code == 200
            assert httpx2.get(f"{url}/healthz").status_code == 503
        assert httpx2.get(f"{url}/healthz").status_code == 200


def test_a_burst_of_silent_clients_leaves_the_descriptors_that_are_kept(
    app: FastAPI,
    serving: Callable[[FastAPI], AbstractContextManager[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(descriptors, "raise_limit", lambda: 32)  # 16 for clients, and 2 who are told
    with serving(app) as url, ExitStack() as open_sockets:
        address = httpx2.URL(url)
        silent = [
            open_sockets.enter_context(socket.create_connection((address.host, address.port or 0)))
            for _ in range(40)
        ]
        readable, _, _ = select.select(silent, [], [], 30)  # the end of those who were sent away
        assert readable
        wait_until(lambda: len(select.select(silent, [], [], 0)[0]) == 40 - 18)
