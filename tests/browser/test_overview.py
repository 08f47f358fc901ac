"""The overview while things happen."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from services.settings import Settings
from services.store import Store, upgrade

from .conftest import Tab, serve
from .population import Population, score


def test_progress_arrives_without_a_reload_and_leaves_the_focus_where_it_is(
    tab: Tab, store: Store, population: Population
) -> None:
    page = tab.open("/")
    link = page.locator(f"#job-{population.running}")
    row = page.get_by_role("row").filter(has=link)
    done = store.get_job(population.running).progress_done
    expect(row).to_contain_text(f"{done} / 100")
    link.focus()

    score(store, population.running, 3, start=done)

    expect(row).to_contain_text(f"{done + 3} / 100")
    expect(link).to_be_focused()
    assert page.locator("#jobs").get_attribute("hx-trigger") == "every 1s"
    assert tab.errors == []


def test_what_failed_is_told_with_its_reason_and_what_to_do(tab: Tab) -> None:
    failures = tab.open("/").get_by_role("region", name="Failed, and why")

    expect(failures).to_contain_text("a search without memory")
    expect(failures).to_contain_text("for want of memory, after 2 of 50 candidates")
    expect(failures).to_contain_text("lower max_concurrent")


def test_the_theme_is_switched_and_remembered(tab: Tab) -> None:
    page = tab.open("/")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)

    page.get_by_role("button", name="Switch between light and dark").click()
    dark = page.evaluate(background)
    page.reload()

    assert dark != light
    assert page.evaluate(background) == dark


@pytest.fixture
def empty_url(tmp_path: Path) -> Iterator[str]:
    """A controller where nothing has happened yet."""
    settings = Settings(data_dir=tmp_path)
    upgrade(settings.resolved_database_url)
    with serve(settings) as url:
        yield url


def test_an_empty_controller_says_how_to_begin(open_tab: Callable[..., Tab], empty_url: str) -> None:
    tab = open_tab(empty_url)

    page = tab.open("/")

    expect(page.get_by_text("Nothing has run here yet")).to_be_visible()
    assert tab.barriers() == []
    assert tab.errors == []
