"""A controller with jobs of every kind in it, and a real browser that looks at its pages."""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from services.controller.app import create_app
from services.controller.readiness import BackgroundDispatcher
from services.controller.server import ControllerServer
from services.ports import listen
from services.settings import Settings
from services.store import Store, open_store, upgrade
from services.wiring import make_artifacts

from .population import Population, populate

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENCE_MS = 30_000
"""How long the tests wait for what must appear: for a busy machine, not for a slow page."""

expect.set_options(timeout=PATIENCE_MS)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All in one worker of pytest-xdist: the database and the browser are made once."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; nothing is downloaded.

    For one file alone: while Playwright runs, nothing else in the process can start an event loop.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium: the browser tests are left out (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def serve(settings: Settings, dispatcher: BackgroundDispatcher | None = None) -> Iterator[str]:
    """The address of a controller in this process, on a free port; with a dispatcher, searches run."""
    server = ControllerServer(create_app(settings, dispatcher=dispatcher), host="127.0.0.1", port=0)
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of a controller with an empty database."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("browser"))
    upgrade(settings.resolved_database_url)
    return settings


@pytest.fixture(scope="session")
def store(settings: Settings) -> Iterator[Store]:
    """The controller's database, as runners reach it."""
    with open_store(settings.resolved_database_url) as store:
        yield store


@pytest.fixture(scope="session")
def population(store: Store, settings: Settings) -> Population:
    """The jobs in the database."""
    return populate(store, make_artifacts(settings), settings)


@pytest.fixture(scope="session")
def url(settings: Settings, population: Population) -> Iterator[str]:
    """A controller that shows the population."""
    with serve(settings) as url:
        yield url


class Tab:
    """A tab of the browser that remembers what went wrong in it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self._url = page, url
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, said: ConsoleMessage) -> None:
        # htmx says so of requests that are broken off because the browser leaves the page.
        broken_off = re.match("htmx:(afterRequest|sendError|sendAbort)", said.text)
        if said.type == "error" and not broken_off:
            self.errors.append(said.text)

    def open(self, path: str) -> Page:
        """Load a page of the controller and wait until it is quiet but for its polling."""
        self.page.goto(self._url + path, wait_until="load")
        expect(self.page.locator(".loading")).to_have_count(0)
        return self.page

    def wider_than_window(self) -> list[str]:
        """The elements that make the page scroll sideways."""
        found: list[str] = self.page.evaluate(_WIDER)
        return found

    def barriers(self) -> list[str]:
        """What axe-core finds serious or critical."""
        violations: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{each['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
            for each in violations
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"]
        ]


_WIDER = """() => {
  if (document.documentElement.scrollWidth <= window.innerWidth) return [];
  const inBox = (element) => {
    for (let box = element.parentElement; box; box = box.parentElement) {
      if (getComputedStyle(box).overflowX !== "visible") return true;
    }
    return false;
  };
  return [...document.querySelectorAll("body *")]
    .filter((each) => each.getBoundingClientRect().right > window.innerWidth + 0.5 && !inBox(each))
    .map((each) => each.outerHTML.slice(0, 160));
}"""


@pytest.fixture
def open_tab(chromium: Browser, url: str) -> Iterator[Callable[..., Tab]]:
    """Opens a tab of its own cookies: `open_tab(viewport=PHONE, color_scheme="dark")`."""
    contexts = []

    def open_(base_url: str = url, **options: Any) -> Tab:
        context = chromium.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        return Tab(context.new_page(), base_url)

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def tab(open_tab: Callable[..., Tab]) -> Tab:
    """A tab of usual size."""
    return open_tab()


def path_of(address: str) -> str:
    """An address without its host."""
    return re.sub(r"^https?://[^/]+", "", address)
