"""The main journey in a browser: submit a search, watch it finish, open its best candidate, train and
export it."""

import zipfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import expect

import gtn_core
from services.checkpoints import store_checkpoint
from services.dispatch.lanes import make_dispatcher
from services.execution import Ending
from services.meta_worker.worker import Worker
from services.settings import Settings
from services.shutdown import Shutdown
from services.store import open_store, upgrade
from services.wiring import make_artifacts

from .conftest import Tab, serve
from .population import TINY

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

SEARCH_MS = 180_000
"""How long the search may take: mostly the start of Ray on a busy machine."""


class Controller(NamedTuple):
    """One that runs searches."""

    url: str
    settings: Settings


@pytest.fixture
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """A controller that runs searches, with one checkpoint."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("journey"))
    upgrade(settings.resolved_database_url)
    with open_store(settings.resolved_database_url) as store:
        checkpoint = gtn_core.meta_train(gtn_core.load_dataset("digits"), TINY)
        store_checkpoint(store, make_artifacts(settings), checkpoint)
        with serve(settings, make_dispatcher(store, settings)) as url:
            yield Controller(url, settings)


def test_from_a_form_to_an_exported_model(open_tab: Callable[..., Tab], controller: Controller) -> None:
    tab = open_tab(controller.url)
    page = tab.open("/")
    page.get_by_role("link", name="New search").click()
    page.get_by_label("Name").fill("the journey")
    page.get_by_label("Channels", exact=True).fill("4")
    page.get_by_label("Cells per stage").fill("1")
    page.get_by_label("Max candidates").fill("3")
    page.locator("[name='algorithm.name']").select_option("random_search")
    expect(page.locator("#plan")).to_contain_text("--algorithm random_search")
    page.get_by_role("button", name="Submit search").click()

    progress = page.get_by_label("Progress", exact=True)
    expect(page.get_by_role("heading", name="the journey")).to_be_visible()
    expect(progress).to_contain_text("succeeded", timeout=SEARCH_MS)
    expect(progress).to_contain_text("3 / 3")

    progress.get_by_role("link", name="candidate", exact=False).click()
    page.get_by_label("Epochs").fill("1")
    page.get_by_role("button", name="Train on real data").click()
    expect(progress).to_contain_text("queued")
    assert Worker(controller.settings, Shutdown()).work_once() is Ending.SUCCEEDED
    expect(progress).to_contain_text("1 / 1")
    page.get_by_role("link", name="Candidate").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="Python + weights").click()

    with zipfile.ZipFile(started.value.path()) as exported:
        [source] = [exported.read(name).decode() for name in exported.namelist() if name.endswith(".py")]
    assert "import torch" in source
    assert "gtn_core" not in source
    assert tab.errors == []
