"""Logging in with a key, in a real browser with its own rules for cookies and forms."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

import gtn_core
from services.checkpoints import store_checkpoint
from services.settings import Settings
from services.store import Scope, Store, open_store, upgrade
from services.wiring import make_artifacts

from .conftest import PHONE, Tab, path_of, serve
from .population import TINY


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


def test_a_form_outlives_the_session_in_which_it_was_begun(
    open_tab: Callable[..., Tab], tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = Settings(data_dir=tmp_path_factory.mktemp("sessions"))
    upgrade(settings.resolved_database_url)
    with open_store(settings.resolved_database_url) as store, serve(settings) as url:
        checkpoint = gtn_core.meta_train(gtn_core.load_dataset("digits"), TINY)
        store_checkpoint(store, make_artifacts(settings), checkpoint)
        keys = [store.create_api_key(name, [Scope.SUBMIT]) for name in ("first", "second")]
        page = open_tab(url).open("/login?next=/searches/new")

        def log_in(page: Page, token: str) -> None:
            page.get_by_label("API key").fill(token)
            page.get_by_role("button", name="Log in").click()

        log_in(page, keys[0][1])
        plan, submit = page.locator("#plan"), page.get_by_role("button", name="Submit search")
        expect(plan).to_contain_text("gtn-nas search")
        store.revoke_api_key(keys[0][0].id)
        page.get_by_label("Name").fill("begun before")
        expect(plan.get_by_role("alert")).to_contain_text("Your session has ended")
        expect(submit).to_be_disabled()

        with page.expect_popup() as opened:
            plan.get_by_role("link", name="Log in").click()
        log_in(opened.value, keys[1][1])
        expect(opened.value.get_by_role("heading", name="Overview")).to_be_visible()
        page.evaluate(
            "document.dispatchEvent(new Event('visibilitychange'))"
        )  # a headless tab is never hidden

        expect(plan).to_contain_text("begun before")
        submit.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("begun before")
