"""A controller that really listens, behind a network that can lose its answers, and a client of it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from gtn_core import FrozenCheckpoint
from services.client import Client
from services.controller.app import create_app
from services.lifecycle import JobKind
from services.schemas import SearchView
from services.settings import Settings
from services.store import Store

SPACE = {"name": "nasbench201", "channels": 4}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """SQLite alone: what a client sees does not depend on the engine."""
    return sqlite_url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, database_url=database_url)


class Faltering:
    """The real application behind a path that loses some of its answers."""

    def __init__(self, app: FastAPI) -> None:
        self.app, self.state = app, app.state
        self.requests: list[str] = []
        self.answers_to_lose = 0
        self.status = 503
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.answers_to_lose:
            await self.app(scope, receive, send)
            return
        self.answers_to_lose -= 1
        self.requests.append(f"{scope['method']} {scope['path']}")
        await self.app(scope, receive, _nowhere)  # it was carried out, but nobody hears of it
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body"})


async def _nowhere(_: Message) -> None:
    pass


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def network(app: FastAPI) -> Faltering:
    return Faltering(app)


@pytest.fixture
def url(network: Faltering, serving: Callable[[Faltering], AbstractContextManager[str]]) -> Iterator[str]:
    with serving(network) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, backoff=0.01) as client:
        yield client


@pytest.fixture
def search(client: Client, checkpoint: FrozenCheckpoint) -> SearchView:
    checkpoint_id = client.create_checkpoint(checkpoint.to_bytes()).id
    return client.create_search(checkpoint_id=checkpoint_id, search_space=SPACE, max_candidates=5)


@pytest.fixture
def run(store: Store, succeed: Callable[..., None], fail: Callable[..., None]) -> Callable[[str], None]:
    """Does to a search what a runner does: three scored candidates and a failed one."""

    def work(search_id: str) -> None:
        assert store.claim(JobKind.SEARCH, "runner", 60, job_id=search_id)
        for number, accuracy in enumerate([0.5, 0.9, 0.7]):
            succeed(search_id, number, accuracy=accuracy)
        fail(search_id, 3)
        store.finish(search_id, "runner", result={"exhausted": None})

    return work
