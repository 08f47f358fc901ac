"""The form of a new search, filled in by keyboard and mouse."""

from playwright.sync_api import expect

from services.lifecycle import JobKind
from services.store import Store

from .conftest import Tab, path_of


def test_the_form_is_checked_as_one_types_and_submits_what_it_shows(tab: Tab, store: Store) -> None:
    page = tab.open("/searches/new")
    plan = page.locator("#plan")
    expect(plan).to_contain_text("gtn-nas search")

    page.get_by_label("Max candidates").fill("0")
    expect(plan).to_contain_text("This has to change first")
    expect(page.get_by_label("Max candidates")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Max candidates")).to_be_focused()
    page.get_by_label("Max candidates").fill("17")
    expect(plan).to_contain_text("--candidates 17")
    expect(page.get_by_label("Max candidates")).not_to_have_attribute("aria-invalid", "true")

    page.locator("[name='algorithm.name']").select_option("nsga2")
    expect(page.get_by_label("Crossover probability")).to_have_value("0.9")
    expect(plan).to_contain_text("--algorithm nsga2")
    page.get_by_label("Name").fill("from the form")
    expect(plan).to_contain_text("'from the form'")
    page.get_by_label("Name").press("Enter")

    page.wait_for_url("**/searches/*")
    identifier = path_of(page.url).rpartition("/")[2]
    job = store.get_job(identifier, JobKind.SEARCH)
    assert (job.name, job.progress_total, job.request["algorithm"]["name"]) == ("from the form", 17, "nsga2")


def test_who_comes_back_to_the_form_finds_it_as_it_was_with_the_options_of_what_is_chosen(tab: Tab) -> None:
    page = tab.open("/searches/new")
    page.locator("[name='algorithm.name']").select_option("nsga2")
    crossover = page.get_by_label("Crossover probability")
    expect(crossover).to_be_visible()
    page.get_by_label("Max candidates").fill("17")

    page.get_by_role("link", name="Searches").first.click()
    page.wait_for_url("**/searches")
    page.go_back()

    expect(page.locator("[name='algorithm.name']")).to_have_value("nsga2")
    expect(page.get_by_label("Max candidates")).to_have_value("17")
    expect(crossover).to_be_visible()
    expect(page.locator("#plan")).to_contain_text("--algorithm nsga2")


def test_the_command_is_copied(tab: Tab) -> None:
    page = tab.open("/searches/new")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    page.get_by_role("button", name="Copy the gtn-nas command").click()

    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("gtn-nas search")
