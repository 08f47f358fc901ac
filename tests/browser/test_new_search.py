"""The form of a new search, filled in by keyboard and mouse."""

from collections.abc import Callable

from playwright.sync_api import Route, expect

from services.lifecycle import JobKind
from services.store import Store

from .conftest import PHONE, Tab, path_of
from .population import Population


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


def test_options_are_as_they_were_typed_when_they_come_back(tab: Tab, population: Population) -> None:
    page = tab.open(f"/searches/new?from={population.succeeded}")
    space, channels = (
        page.locator("[name='search_space.name']"),
        page.locator("[name='search_space.channels']"),
    )
    expect(channels).to_have_value("4")
    for name, shown in (("resnet_macro", "16"), ("nasbench201", "4")):
        space.select_option(name)
        expect(page.locator(f"#options-search_space [data-of={name}]")).to_be_visible()
        expect(channels).to_have_value(shown)
    space.select_option("resnet_macro")
    expect(channels).to_have_value("16")
    channels.fill("3")
    page.get_by_label("Max candidates").fill("5")
    page.get_by_label("Max candidates").press("Enter")
    expect(page.get_by_label("Progress", exact=True)).to_contain_text("0 / 5")

    page.go_back()

    expect(page.locator("#options-search_space [data-of=resnet_macro]")).to_be_visible()
    expect(channels).to_have_value("3")
    expect(page.locator("#plan")).to_contain_text("channels=3")
    space.select_option("nasbench201")
    expect(channels).to_have_value("4")


def test_options_come_while_a_check_takes_its_time(tab: Tab) -> None:
    page = tab.open("/searches/new")
    space = page.locator("[name='search_space.name']")
    expect(page.locator("#plan")).to_contain_text("--space")
    checks: list[Route] = []
    page.route("**/searches/new/check", lambda route: checks.append(route))
    with page.expect_request("**/searches/new/check"):
        page.get_by_label("Max candidates").fill("8")

    space.select_option("resnet_macro")

    expect(page.locator("#options-search_space [data-of=resnet_macro]")).to_be_visible()
    checks[0].continue_()


def test_a_refusal_is_told_at_the_top_and_leads_to_the_fields(open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(viewport=PHONE)
    page = tab.open("/searches/new")
    page.get_by_label("Max candidates").fill("0")
    page.get_by_label("Max seconds").fill("soon")
    page.get_by_label("Name").press("Enter")
    page.wait_for_function("() => document.getElementById('refused')")
    refused = page.locator("#refused")
    expect(refused).to_be_in_viewport()
    expect(refused).to_be_focused()
    expect(refused.get_by_role("link")).to_have_text(["max_candidates", "max_seconds"])
    assert tab.barriers() == []

    refused.get_by_role("link", name="max_candidates").click()
    expect(page.get_by_label("Max candidates")).to_be_in_viewport()
    page.get_by_label("Max candidates").fill("5")
    expect(refused.get_by_role("link")).to_have_text(["max_seconds"])
    page.get_by_label("Max seconds").fill("")
    expect(refused).to_be_hidden()


def test_nothing_is_submitted_while_the_controller_is_away(tab: Tab) -> None:
    page = tab.open("/searches/new")
    submit = page.get_by_role("button", name="Submit search")
    expect(page.locator("#plan")).to_contain_text("gtn-nas search")
    page.route("**/searches/new/check", lambda route: route.abort())
    page.get_by_label("Name").fill("away")
    expect(submit).to_be_disabled()
    page.unroute("**/searches/new/check")
    expect(page.locator("#plan")).to_contain_text("--name away")
    expect(submit).to_be_enabled()


def test_the_command_is_copied(tab: Tab) -> None:
    page = tab.open("/searches/new")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    page.get_by_role("button", name="Copy the gtn-nas command").click()

    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("gtn-nas search")
