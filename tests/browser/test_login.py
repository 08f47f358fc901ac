"""Logging in with a key, in a real browser with its own rules for cookies and forms."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from services.settings import Settings
from services.store import Scope, Store, open_store, upgrade

from .conftest import PHONE, Tab, path_of, serve


@pytest.fixture
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """A controller of its own, and its database."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("locked"))
    upgrade(settings.resolved_database_url)
    with open_store(settings.resolved_database_url) as store, serve(settings) as url:
        yield url, store


def test_the_first_key_locks_the_door_and_opens_it(
    open_tab: Callable[..., Tab], locked: tuple[str, Store]
) -> None:
    url, store = locked
    tab = open_tab(url)
    page = tab.open("/settings")
    page.get_by_label("Name").fill("me")
    page.get_by_role("button", name="Create key").click()
    key = page.locator("#token").inner_text()
    page.get_by_role("link", name="log in with it").click()

    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("unknown or revoked")
    assert tab.barriers() == []
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("cell", name="me gtn_")).to_be_visible()
    assert page.evaluate("document.cookie") == ""

    page.on("dialog", lambda dialog: dialog.accept())
    store.create_api_key("leaked", [Scope.READ])
    page.reload()
    page.get_by_role("button", name="Revoke the key of leaked").click()
    expect(page.get_by_role("row").filter(has_text="leaked")).to_contain_text("revoked")

    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(url + "/searches?state=failed")
    assert path_of(page.url).startswith("/login?next=")


def test_a_page_that_polls_goes_to_the_login_once_its_key_is_revoked(
    open_tab: Callable[..., Tab], locked: tuple[str, Store]
) -> None:
    url, store = locked
    store.create_api_key("other", [Scope.ADMIN])
    key, token = store.create_api_key("leaked", [Scope.READ])
    page = open_tab(url, viewport=PHONE).open("/")
    page.get_by_label("API key").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()

    store.revoke_api_key(key.id)

    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
