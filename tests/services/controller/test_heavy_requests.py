"""Who asks for much at once waits for it; others, and probes, do not wait with them."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx2
import pytest
from fastapi.testclient import TestClient

from services.controller.heavy_requests import AT_ONCE, OF_ONE_CALLER, Turns
from services.controller.routes import candidate_analysis
from services.schemas.analysis import Similar
from services.store import Store

CLIENTS = 45
"""More than the server has threads."""


class Held:
    """A function's place, in which every call stays until the test lets go."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Semaphore(0), threading.Event()

    def __call__(self, *_: object, **__: object) -> Similar:
        self.begun.release()
        assert self.let_go.wait(60)
        return Similar(compared=0, total=0, similar=[])


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.let_go.set()


@pytest.fixture
def ask(held: Held) -> Iterator[Callable[[str], "Asked"]]:
    """Sends a request as often as there are CLIENTS, without waiting for the answers."""
    with ThreadPoolExecutor(CLIENTS) as clients, ExitStack() as at_the_end:
        at_the_end.callback(held.let_go.set)

        def send(url: str) -> Asked:
            answers = [clients.submit(httpx2.get, url, timeout=60) for _ in range(CLIENTS)]
            return lambda: [answer.result().status_code for answer in answers]

        yield send


Asked = Callable[[], list[int]]
"""The statuses, once all have come."""


def test_light_requests_and_probes_do_not_wait_behind_heavy_ones(
    live_url: str,
    scored_search: str,
    held: Held,
    ask: Callable[[str], Asked],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidate_analysis, "similar_view", held)
    heavy = ask(f"{live_url}/v1/candidates/{scored_search}-0/similar")
    assert all(held.begun.acquire(timeout=60) for _ in range(OF_ONE_CALLER))

    for _ in range(10):  # the first may come before those that are to wait
        for path in ("/readyz", f"/v1/searches/{scored_search}", f"/v1/candidates/{scored_search}-0", "/"):
            assert httpx2.get(live_url + path, timeout=30).status_code == 200
    assert not held.begun.acquire(blocking=False), "no more are worked on at once"

    held.let_go.set()
    assert heavy() == [200] * CLIENTS


def test_probes_are_answered_though_requests_hold_all_threads(
    live_url: str, held: Held, ask: Callable[[str], Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "has_api_keys", lambda _: bool(held()) and False)
    others = ask(f"{live_url}/v1/searches")
    assert all(held.begun.acquire(timeout=60) for _ in range(40))

    assert httpx2.get(f"{live_url}/readyz", timeout=30).status_code == 200

    held.let_go.set()
    assert others() == [200] * CLIENTS


def test_a_heavy_request_that_fails_gives_its_turn_back(http: TestClient) -> None:
    answers = [http.get("/v1/candidates/nosuch/similar").status_code for _ in range(AT_ONCE + 1)]
    assert answers == [404] * (AT_ONCE + 1)


def test_nobody_waits_behind_all_that_another_has_asked_for() -> None:
    async def scenario() -> None:
        turns, over = Turns(), asyncio.Event()
        at_work: list[str] = []

        async def work(caller: str) -> None:
            async with turns.turn(caller):
                at_work.append(caller)
                await over.wait()

        first = [asyncio.create_task(work("first")) for _ in range(40)]
        await asyncio.sleep(0)
        second = [asyncio.create_task(work("second")) for _ in range(40)]
        async with asyncio.timeout(60):
            while len(at_work) < AT_ONCE:
                await asyncio.sleep(0)
        assert at_work == ["first"] * OF_ONE_CALLER + ["second"] * (AT_ONCE - OF_ONE_CALLER)
        over.set()
        await asyncio.gather(*first, *second)
        assert sorted(at_work) == ["first"] * 40 + ["second"] * 40

    asyncio.run(scenario())


def test_who_reads_what_is_sent_by_parts_slowly_holds_nobody_up() -> None:
    async def scenario() -> None:
        turns = Turns()
        contents = [turns.by_parts("caller", iter("ab")) for _ in range(AT_ONCE + 1)]
        assert [await anext(content) for content in contents] == ["a"] * len(contents)
        assert [[part async for part in content] for content in contents] == [["b"]] * len(contents)

    asyncio.run(scenario())
