"""Pages that explore a search, a candidate, a checkpoint: for everyone, live, and never lost in numbers."""

import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from nas.search_spaces import get_search_space
from services.controller.validation import check_search
from services.dashboard import formats
from services.lifecycle import Action, JobKind, JobState
from services.schemas.requests import SearchRequest
from services.settings import Settings
from services.store import Store

from .conftest import PATIENCE_MS, PHONE, WIDE, Tab
from .population import CANDIDATES, SPACE, Population, score

MANY = 100_000
Open = Callable[..., Tab]
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def make_search(store: Store, settings: Settings, population: Population) -> Callable[..., str]:
    """Makes a queued search of its own for a test that changes one."""

    def make(name: str, candidates: int = 40, **changes: Any) -> str:
        request = SearchRequest(
            name=name,
            checkpoint_id=population.checkpoint,
            search_space=SPACE,
            max_candidates=candidates,
            **changes,
        )
        request = check_search(request, settings, store)
        job = store.create_job(
            JobKind.SEARCH,
            name=name,
            request=request.model_dump(mode="json"),
            progress_total=candidates,
            subject_id=population.checkpoint,
        )
        return job.id

    return make


def test_plots_take_what_the_page_has_asked_for_ahead_of_their_scripts(
    open_tab: Open, population: Population
) -> None:
    tab = open_tab()
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page = tab.open(f"/searches/{population.succeeded}")
    expect(page.locator("#points-note")).to_contain_text("Drag over the plot")
    expect(page.locator("#best-note")).to_contain_text("by candidate")
    ahead = ["points?x=params&y=accuracy", "trajectory"]
    assert sorted(each for each in asked if each in ahead) == ahead  # each once, so the scripts took these
    assert asked.index("trajectory") < next(n for n, each in enumerate(asked) if each.startswith("search.js"))


def test_what_a_search_finds_arrives_without_loading_the_page_again(
    open_tab: Open, store: Store, make_search: Callable[..., str]
) -> None:
    search_id = make_search("live", 12)
    score(store, search_id, 4)
    page = open_tab().open(f"/searches/{search_id}")
    expect(page.locator("#progress")).to_contain_text("4 / 12")
    page.evaluate("window.sameDocument = true")
    assert page.locator("#progress").get_attribute("hx-trigger") == "every 1s"
    pause = page.get_by_role("button", name="Pause")
    pause.focus()

    score(store, search_id, 3, start=4)

    expect(page.locator("#progress")).to_contain_text("7 / 12")
    expect(pause).to_be_focused()
    expect(page.locator("#best-note")).to_contain_text("candidate 6")
    expect(page.locator("#candidates tbody tr")).to_have_count(7)
    store.finish(search_id, "runner", result={"exhausted": None, "timed_out": False})
    expect(page.locator("#progress .badge")).to_have_text("succeeded")
    assert page.locator("#progress").get_attribute("hx-get") is None, "nothing to ask for any more"
    assert page.evaluate("window.sameDocument")


def test_the_end_of_a_search_reaches_a_table_that_someone_has_ordered_and_ticked(
    open_tab: Open, store: Store, make_search: Callable[..., str]
) -> None:
    search_id = make_search("ordered", 8)
    score(store, search_id, 3)
    page = open_tab().open(f"/searches/{search_id}")
    expect(page.get_by_role("link", name="Search from its best")).to_be_visible()
    page.locator("#sort-number").click()
    expect(page.locator("th[aria-sort]")).to_contain_text("Candidate")
    page.locator("#tick-1").check()

    score(store, search_id, 5, start=3)
    store.finish(search_id, "runner", result={"exhausted": None, "timed_out": False})

    expect(page.locator("#progress")).to_contain_text("Ended")
    expect(page.locator("#candidates tbody tr")).to_have_count(8)
    expect(page.locator("th[aria-sort]")).to_contain_text("Candidate")
    expect(page.locator("#candidates input:checked")).to_have_id("tick-1")


def test_time_passes_on_a_page_where_nothing_else_does(
    open_tab: Open, store: Store, make_search: Callable[..., str]
) -> None:
    search_id = make_search("in thought")
    score(store, search_id, 3)
    tab = open_tab()
    tab.page.clock.install()
    page = tab.open(f"/searches/{search_id}")
    left = page.locator("#progress [data-until]")
    left.evaluate("(left) => (left.dataset.until = new Date(Date.now() + 8000e3).toISOString())")
    page.clock.fast_forward("02:00:00")
    expect(page.locator("#progress [data-since]")).to_contain_text("2 h 00 min")
    expect(left).to_contain_text("13 min")
    store.act(search_id, Action.CANCEL)


def test_the_focus_outlives_what_had_it(
    open_tab: Open, store: Store, make_search: Callable[..., str]
) -> None:
    search_id = make_search("by keyboard", 60)
    score(store, search_id, 40)
    page = open_tab().open(f"/searches/{search_id}")
    extend = page.get_by_role("button", name="Extend …")
    extend.press("Enter")
    expect(page.locator("#extend")).to_be_visible()
    score(store, search_id, 4, start=40)
    expect(page.locator("#progress")).to_contain_text("44 / 60")
    page.keyboard.press("Escape")
    expect(extend).to_be_focused()

    page.get_by_role("button", name="Next page").press("Enter")
    expect(page.get_by_role("button", name="First page")).to_be_focused()
    page.get_by_role("button", name="First page").press("Enter")
    expect(page.get_by_role("button", name="Next page")).to_be_focused()
    store.act(search_id, Action.CANCEL)


def test_a_form_that_is_submitted_by_a_double_click_acts_once(
    open_tab: Open, store: Store, make_search: Callable[..., str]
) -> None:
    search_id = make_search("extended once", 40)
    page = open_tab().open(f"/searches/{search_id}")
    page.get_by_role("button", name="Extend …").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Extend", exact=True).dblclick()
    expect(page.locator("#progress")).to_contain_text("0 / 90")
    page.reload()
    expect(page.locator("#progress")).to_contain_text("0 / 90")
    store.act(search_id, Action.CANCEL)


def test_a_long_name_leaves_the_rest_of_its_row_in_sight(
    open_tab: Open, store: Store, make_search: Callable[..., str]
) -> None:
    search_id = make_search("W" * 200)
    for place, viewport in (("/", WIDE), ("/searches", WIDE), ("/searches", PHONE)):
        table = open_tab(viewport=viewport).open(place).get_by_role("region").filter(has_text="W" * 200).last
        assert table.evaluate("table => table.scrollWidth <= table.clientWidth"), place
    score(store, search_id, 1)
    tab = open_tab(viewport=PHONE)
    for place in (
        f"/candidates/{search_id}-0",
        f"/compare?id={search_id}-0",
        f"/searches/compare?id={search_id}",
    ):
        tab.open(place)
        assert tab.wider_than_window() == [], place
    store.act(search_id, Action.CANCEL)


def test_names_of_usual_length_fit_below_the_plot_of_a_comparison(
    open_tab: Open, store: Store, make_search: Callable[..., str]
) -> None:
    ids = [make_search(f"CIFAR-10 regularized evolution, seed {seed}, 100 steps") for seed in range(3)]
    for each in ids:
        score(store, each, 3)
    tab = open_tab(viewport=PHONE)
    for place, candidate in (("/searches/compare", ""), ("/compare", "-0")):
        page = tab.open(f"{place}?" + "&".join(f"id={each}{candidate}" for each in ids))
        expect(page.locator(".u-legend tr")).to_have_count(4)
        assert tab.wider_than_window() == [], place
    for each in ids:
        store.act(each, Action.CANCEL)


def test_a_dialog_is_opened_once(open_tab: Open, population: Population) -> None:
    page = open_tab().open(f"/searches/{population.succeeded}")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.get_by_role("button", name="Extend …").click()
    expect(page.locator("#extend")).to_be_visible()
    page.get_by_role("button", name="Keep as it is").click()
    expect(page.locator("#extend")).to_be_hidden()
    assert said == []


def test_a_button_that_is_pressed_while_scripts_still_come_acts_once_they_are_there(
    open_tab: Open, url: str, store: Store, make_search: Callable[..., str]
) -> None:
    search_id = make_search("pressed early")
    page = open_tab().page
    page.on("dialog", lambda dialog: dialog.accept())
    late: list[Route] = []
    page.route("**/htmx.min.js*", lambda route: late.append(route))
    page.goto(f"{url}/searches/{search_id}", wait_until="commit")
    for _ in range(3):  # as whoever sees nothing happen
        page.get_by_role("button", name="Cancel").click(no_wait_after=True)
    assert store.get_job(search_id).state is JobState.QUEUED
    while not late:
        page.wait_for_timeout(20)
    late.pop().continue_()
    expect(page.locator("#progress .badge")).to_have_text("cancelled")


def test_steering_from_the_page(open_tab: Open, store: Store, make_search: Callable[..., str]) -> None:
    search_id = make_search("steered")
    page = open_tab().open(f"/searches/{search_id}")

    def press(name: str) -> None:
        """Not before the page is there anew is anything of it to be pressed: what is shown comes earlier."""
        with page.expect_navigation():
            page.get_by_role("button", name=name).click()

    press("Pause")
    expect(page.locator("#progress .badge")).to_have_text("paused")
    press("Resume")
    expect(page.locator("#progress .badge")).to_have_text("queued")

    page.get_by_role("button", name="Extend").click()
    page.get_by_label("More candidates").fill("5")
    with page.expect_navigation():
        page.locator("dialog").get_by_role("button", name="Extend").click()
    expect(page.locator("#progress")).to_contain_text("0 / 45")

    page.get_by_role("button", name="Clone").click()
    page.locator("#clone").get_by_label("Name").fill("its clone")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("its clone")
    clone = page.url.rpartition("/")[2]
    assert store.get_job(clone).request["seed"] == store.get_job(search_id).request["seed"] + 1

    page.get_by_role("button", name="Edit …").click()
    page.locator("#edit").get_by_label("Name").fill("a better name")
    page.locator("#edit").get_by_label("Priority").fill("7")
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("a better name")
    assert store.get_job(clone).priority == 7

    page.on("dialog", lambda dialog: dialog.accept())
    press("Cancel")
    expect(page.locator("#progress .badge")).to_have_text("cancelled")
    assert store.get_job(clone).state is JobState.CANCELLED
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url("**/searches")
    assert clone not in {job.id for job in store.list_jobs(JobKind.SEARCH, limit=100)}


def test_plots_know_whether_more_or_less_is_better(
    open_tab: Open, store: Store, make_search: Callable[..., str], population: Population
) -> None:
    page = open_tab().open(f"/searches/{population.succeeded}")
    chart = "echarts.getInstanceByDom(document.getElementById('{}-chart')).getOption()"
    for across, step in (("params", "end"), ("accuracy", "start")):
        page.locator("#y-axis").select_option("loss")
        page.locator("#x-axis").select_option(across)
        expect(page.locator("#points-api")).to_have_attribute("href", re.compile(f"x={across}&y=loss$"))
        page.wait_for_function(f"(step) => {chart.format('points')}.series[1].step === step", arg=step)

    smallest = make_search("the smallest", objectives=["params"])
    score(store, smallest, 6)
    warm = {}
    for search in (population.succeeded, smallest):
        page = open_tab().open(f"/searches/{search}")
        expect(page.locator("#parallel-note")).to_contain_text("warm lines are better")
        warm[search] = page.evaluate(f"{chart.format('parallel')}.visualMap[0].inRange.color")
    assert warm[smallest] == warm[population.succeeded][::-1]
    store.act(smallest, Action.CANCEL)


def test_a_brush_over_the_plot_filters_the_table(open_tab: Open, population: Population) -> None:
    page = open_tab().open(f"/searches/{population.succeeded}")
    rows = page.locator("#candidates tbody tr")
    expect(rows).to_have_count(CANDIDATES)
    brush(page, (0.3, 0.2), (0.9, 0.5))
    expect(page.locator("[name=min_accuracy]")).not_to_have_value("")
    expect(rows).not_to_have_count(CANDIDATES)
    low, high = (float(page.locator(f"[name={end}_accuracy]").input_value()) for end in ("min", "max"))
    for text in rows.locator("td:nth-child(5)").all_inner_texts():
        assert low - 1e-4 <= float(text.split()[0]) / 100 <= high + 1e-4
    page.get_by_role("button", name="Clear the selection").click()
    expect(rows).to_have_count(CANDIDATES)


def test_who_comes_back_from_a_candidate_finds_the_table_filtered_and_ordered_as_before(
    open_tab: Open, population: Population
) -> None:
    page = open_tab().open(f"/searches/{population.succeeded}")
    rows = page.locator("#candidates tbody tr")
    page.get_by_label("Proxy accuracy (0–1) from").fill("0.6")
    page.get_by_label("Proxy accuracy (0–1) from").press("Tab")
    expect(rows).not_to_have_count(CANDIDATES)
    page.locator("#sort-params").click()
    expect(page.locator("th[aria-sort]")).to_contain_text("Parameters")
    before = rows.all_inner_texts()

    rows.first.get_by_role("link", name=re.compile("^[0-9]+$")).last.click()
    page.wait_for_url("**/candidates/*")
    page.go_back()

    expect(page.locator("th[aria-sort]")).to_contain_text("Parameters")
    expect(rows).to_have_count(len(before))
    assert rows.all_inner_texts() == before
    expect(page.get_by_label("Proxy accuracy (0–1) from")).to_have_value("0.6")

    for box in page.locator("#candidates input[type=checkbox]").all()[:2]:
        box.check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url("**/compare**")
    page.go_back()
    expect(rows).to_have_count(len(before))
    expect(page.locator("#candidates input:checked")).to_have_count(0)
    expect(page.get_by_role("button", name="Compare", exact=True)).to_be_disabled()


def test_a_click_on_a_point_opens_its_candidate(open_tab: Open, population: Population) -> None:
    page = open_tab().open(f"/searches/{population.succeeded}")
    expect(page.locator("#points-note")).to_contain_text("click on a point")
    chart = page.locator("#points-chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    across, down, number = page.evaluate(
        """() => {
            const chart = echarts.getInstanceByDom(document.getElementById("points-chart"));
            const [x, y, number] = chart.getOption().series[0].data[3];
            return [...chart.convertToPixel({ xAxisIndex: 0, yAxisIndex: 0 }, [x, y]), number];
        }"""
    )
    page.mouse.click(box["x"] + across, box["y"] + down)
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Candidate {number}")


def test_filters_and_orders_of_the_table(open_tab: Open, population: Population) -> None:
    page = open_tab().open(f"/searches/{population.succeeded}")
    rows = page.locator("#candidates tbody tr")
    page.get_by_label("State").select_option("failed")
    expect(page.locator("#candidates .badge.succeeded")).to_have_count(0)
    expect(rows.first).to_contain_text("out of memory")
    page.get_by_role("button", name="Clear filters").click()
    expect(rows).to_have_count(CANDIDATES)
    page.get_by_role("button", name="Parameters", exact=True).click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Parameters")
    # The order stays when a filter comes.
    page.get_by_label("State").select_option("succeeded")
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Parameters")
    page.get_by_label("Parameters from").fill("99999999")
    page.get_by_label("Parameters from").press("Tab")
    expect(page.locator("#candidates")).to_contain_text("No candidate is like that")


def test_a_filter_that_cannot_be_is_told_at_its_field_and_at_the_table(
    open_tab: Open, population: Population
) -> None:
    tab = open_tab()
    page = tab.open(f"/searches/{population.succeeded}")
    rows, refused = page.locator("#candidates tbody tr"), page.locator("#refused")
    accuracy, params = page.get_by_label("Proxy accuracy (0–1) to"), page.get_by_label("Parameters from")
    for field, text, why in ((accuracy, "60", "less than or equal to 1"), (params, "1e3", "valid integer")):
        field.fill(text)
        field.press("Tab")
        expect(refused).to_be_visible()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(page.locator(f"#{field.get_attribute('aria-describedby')}")).to_contain_text(why)
        assert tab.barriers() == []
        field.fill("")
        field.press("Tab")
        expect(refused).to_be_hidden()
        expect(field).to_have_attribute("aria-invalid", "false")
    expect(page.locator("#notices")).to_be_empty()
    for text in ("1000.5", "1e"):
        params.press_sequentially(text)
        params.press("Tab")
        expect(refused).to_be_visible()
        params.press("Control+a")
        params.press("Delete")
        params.press("Tab")
        expect(refused).to_be_hidden()
    accuracy.fill("-1")
    accuracy.press("Tab")
    expect(refused).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    expect(refused).to_be_hidden()
    expect(rows).to_have_count(CANDIDATES)


def test_a_finger_scrolls_over_the_plot_until_it_is_to_select(open_tab: Open, population: Population) -> None:
    page = open_tab(viewport=PHONE, has_touch=True, is_mobile=True).open(f"/searches/{population.succeeded}")
    expect(page.locator("#points-note")).to_contain_text("Press “Select on the plot”")
    page.evaluate("addEventListener('touchmove', (event) => (window.taken = event.defaultPrevented))")
    swipe(page)
    assert page.evaluate("window.taken") is False
    expect(page.locator("[name=min_params]")).to_have_value("")

    page.get_by_role("button", name="Select on the plot").tap()
    swipe(page)

    expect(page.locator("[name=min_params]")).not_to_have_value("")
    assert page.evaluate("window.taken") is True
    expect(page.get_by_role("button", name="Select on the plot")).to_have_attribute("aria-pressed", "false")


def test_candidates_are_compared_from_the_table(open_tab: Open, population: Population) -> None:
    page = open_tab().open(f"/searches/{population.succeeded}")
    compare = page.get_by_role("button", name="Compare")
    expect(compare).to_be_disabled()
    boxes = page.locator("#candidates input[type=checkbox]")
    for place in range(4):
        boxes.nth(place).check()
    expect(boxes.nth(4)).to_be_disabled()
    compare.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare candidates")
    expect(page.locator("table.compare thead th")).to_have_count(5)
    page.get_by_role("link", name=re.compile("Take candidate")).first.click()
    expect(page.locator("table.compare thead th")).to_have_count(4)


def test_searches_are_compared_from_the_list(open_tab: Open, population: Population) -> None:
    tab = open_tab()
    page = tab.open("/searches")
    for search in (population.succeeded, population.running):
        page.locator(f"input[value='{search}']").check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare searches")
    legend = page.locator("#best-chart .u-legend tr")
    expect(legend).to_have_count(3)
    expect(legend.first).to_contain_text("candidates")
    page.get_by_role("button", name="Time").click()
    expect(legend.first).to_contain_text("time")
    assert tab.errors == []


def test_no_more_searches_are_ticked_than_can_be_compared(
    open_tab: Open, store: Store, make_search: Callable[..., str]
) -> None:
    ids = [make_search(f"ticked {number}") for number in range(7)]
    page = open_tab().open("/searches?name=ticked")
    expect(page.get_by_role("button", name="Compare")).to_be_disabled()
    boxes = page.get_by_role("checkbox")
    for place in range(6):
        boxes.nth(place).check()
    expect(boxes.nth(6)).to_be_disabled()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("table.compare thead th")).to_have_count(7)
    for each in ids:
        store.act(each, Action.CANCEL)


def test_a_search_with_one_candidate_is_seen_on_the_plot_of_a_comparison(
    open_tab: Open, store: Store, make_search: Callable[..., str]
) -> None:
    search_id = make_search("of one", 1)
    score(store, search_id, 1)
    page = open_tab(color_scheme="light").open(f"/searches/compare?id={search_id}")
    expect(page.locator("#best-chart .u-legend tr")).to_have_count(2)
    coloured = """() => {
        const canvas = document.querySelector("#best-chart canvas");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.some((red, at) => at % 4 === 0 && red === 0x1c && data[at + 1] === 0x5d);
    }"""
    page.wait_for_function(coloured)
    store.act(search_id, Action.CANCEL)


def test_the_area_of_what_is_negative_is_below_its_line(
    tab: Tab, store: Store, make_search: Callable[..., str]
) -> None:
    search_id = make_search("negative", objectives=["loss"])
    columns = {"seconds": [1, 2], "completion": [1, 20], "number": [0, 1], "value": [-9, -10]}
    answer = {"objective": "loss", "direction": "min", "done": 20, "elapsed": 2, **columns}
    tab.page.route("**/trajectory", lambda route: route.fulfill(json=answer))
    page = tab.open(f"/searches/{search_id}")
    expect(page.locator("#best-note")).to_contain_text("-10.000 nats")
    is_painted = page.locator("#best-chart canvas").evaluate(
        """(canvas) => {
            const [left, top] = [0.5 * canvas.width, 0.07 * canvas.height];
            const above = canvas.getContext("2d").getImageData(left, top, 20, 3);
            return above.data.filter((_, at) => at % 4 === 3).every(Boolean);
        }"""
    )
    assert not is_painted
    store.act(search_id, Action.CANCEL)


def test_the_player_steps_through_the_curriculum_by_keyboard(open_tab: Open, population: Population) -> None:
    page = open_tab().open(f"/checkpoints/{population.checkpoint}")
    expect(page.locator("#step-note")).to_have_text("step 1 of 3")
    first = shown(page)
    page.locator("#step").press("ArrowRight")
    expect(page.locator("#step-note")).to_have_text("step 2 of 3")
    assert shown(page) != first
    page.get_by_role("button", name="Play the curriculum").press("Enter")
    expect(page.locator("#step-note")).to_have_text("step 3 of 3")
    expect(page.get_by_role("button", name="Play the curriculum")).to_be_visible()


def test_a_very_large_search_is_drawn_in_part_and_paged(
    open_tab: Open, store: Store, settings: Settings, make_search: Callable[..., str]
) -> None:
    search_id = make_search("very large", MANY)
    fill(settings, search_id, MANY)
    tab = open_tab()
    page = tab.open(f"/searches/{search_id}")
    expect(page.locator("#candidates tbody tr")).to_have_count(25)
    expect(page.locator("#points-note")).to_contain_text(f"of {MANY:,} candidates are drawn")
    drawn = int(page.locator("#points-note").inner_text().split("open it. ")[1].split()[0].replace(",", ""))
    assert drawn < 6000
    expect(page.locator("#importance")).to_contain_text("random sample of 10,000")
    ranks = page.locator("#candidates tbody td:nth-child(2)")
    expect(ranks.first).to_have_text("1")
    page.get_by_role("button", name="Next page").click()
    expect(ranks.first).to_have_text("26")
    page.get_by_role("button", name="First page").click()
    expect(ranks.first).to_have_text("1")
    assert tab.errors == []


def brush(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over the scatter plot, from and to shares of its box."""
    chart = page.locator("#points-chart")
    chart.scroll_into_view_if_needed()
    expect(page.locator("#points-note")).to_contain_text("Drag over the plot")
    box = chart.bounding_box()
    assert box is not None
    (x0, y0), (x1, y1) = (
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)
    )
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2, steps=4)
    page.mouse.move(x1, y1, steps=4)
    page.mouse.up()


def swipe(page: Page) -> None:
    """A finger over the scatter plot, slanted, once nothing scrolls any more."""
    left, top = page.locator("#points-chart").evaluate(
        """async (chart) => {
            for (let before = null, now = NaN; before !== now; ) {
              chart.scrollIntoView({ block: "center" });
              before = now;
              await new Promise((resolve) => setTimeout(resolve, 100));
              now = chart.getBoundingClientRect().top;
            }
            const { left, top, width, height } = chart.getBoundingClientRect();
            return [left + 0.3 * width, top + 0.3 * height];
        }"""
    )
    touch = page.context.new_cdp_session(page)
    for step in range(6):
        kind = ("touchStart", "touchMove")[step > 0]
        points = [{"x": left + step * 20, "y": top + step * 20}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def shown(page: Page) -> str:
    """The picture in the player; waits until there is one."""
    picture: str = page.locator("#film").evaluate(
        """async (canvas) => {
            for (let tries = 0; tries < 100; tries++) {
              const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              if (data.some((each) => each)) break;
              await new Promise((resolve) => setTimeout(resolve, 50));
            }
            return canvas.toDataURL();
        }"""
    )
    return picture


def fill(settings: Settings, search_id: str, candidates: int) -> None:
    """A search that has ended, written past the store: one candidate at a time would take minutes."""
    space, rng = get_search_space(**SPACE), np.random.default_rng(0)
    encodings = [space.sample(rng).encoding for _ in range(200)]
    accuracies, params = rng.beta(8, 3, candidates), rng.integers(2_000, 60_000, candidates)
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
    shared = {"search_id": search_id, "state": "succeeded", "space": "nasbench201", "seed": 0, "loss": 1.0}
    shared |= {"seconds": 0.3, "extra_metrics": "{}", "created_at": now, "finished_at": now}
    rows = (
        shared
        | {
            "number": number,
            "encoding": encodings[number % 200],
            "canonical_hash": str(number),
            "completion": number + 1,
            "accuracy": float(accuracies[number]),
            "reward": float(accuracies[number]),
            "params": int(params[number]),
            "flops": int(params[number]) * 64,
        }
        for number in range(candidates)
    )
    names = [*shared, "number", "encoding", "canonical_hash", "completion", "accuracy", "reward"]
    names += ["params", "flops"]
    marks = ", ".join(f":{name}" for name in names)
    path = Path(settings.resolved_database_url.removeprefix("sqlite:///"))
    with sqlite3.connect(path, timeout=60) as connection:
        connection.executemany(f"INSERT INTO candidates ({', '.join(names)}) VALUES ({marks})", rows)
        ended = "state = 'succeeded', progress_done = ?, started_at = ?, finished_at = ?"
        connection.execute(f"UPDATE jobs SET {ended} WHERE id = ?", (candidates, now, now, search_id))
    connection.close()


def test_texts_are_copied_also_where_the_browser_gives_pages_no_clipboard(
    tab: Tab, population: Population
) -> None:
    # As it is over plain http from another machine.
    tab.page.add_init_script("Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined })")
    page = tab.open(f"/candidates/{population.best}")
    page.evaluate("document.addEventListener('copy', () => (window.copied = String(getSelection())))")

    page.get_by_role("button", name="Copy the encoding").dblclick()

    expect(page.locator("[data-copy=encoding]")).to_have_text("Copied")
    assert page.evaluate("copied") == page.locator("#encoding").text_content()
    expect(page.locator("[data-copy=encoding]")).to_have_text("Copy")
    assert tab.errors == []


def test_scripts_write_durations_as_the_server_does(tab: Tab) -> None:
    values = [1e-9, 0.35, 4.2, 59.97, 119.6, 3599.8, 7199.9, 275_000.0]

    written = tab.open("/searches").evaluate(
        "values => import('/static/numbers.js').then(({ seconds }) => values.map(seconds))", values
    )

    assert written == [formats.seconds(value) for value in values]


def test_steps_that_a_second_worker_repeats_take_the_place_of_the_first_ones(tab: Tab) -> None:
    news = [{"step": [1, 2, 3], "loss": [3, 2, 1]}, {"step": [4, 2, 3], "loss": [0, 2.5, 1.5]}]

    points = tab.open("/searches").evaluate(
        """news => import('/static/steps.js').then(({ append }) => {
            const points = { step: [], loss: [] };
            for (const each of news) append(points, each, 'step');
            return points;
        })""",
        news,
    )

    assert points == {"step": [1, 2, 3], "loss": [3, 2.5, 1.5]}


def test_a_controller_that_is_away_is_told_in_plain_words(tab: Tab, population: Population) -> None:
    tab.page.route("**/curve?*", lambda route: route.abort())
    page = tab.open(f"/meta-trainings/{population.meta_training}")
    expect(page.locator("#notices")).to_have_text("The controller does not answer.")

    tab.page.route("**/curve?*", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))

    expect(page.locator("#notices")).to_contain_text("answered 502")
