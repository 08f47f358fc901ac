"""Every page, on a phone and wide, light and dark: no error, no sideways scrolling, no barrier."""

from collections.abc import Callable

import pytest

from .conftest import PHONE, WIDE, Tab
from .population import Population

PAGES: dict[str, Callable[[Population], str]] = {
    "overview": lambda _: "/",
    "searches": lambda _: "/searches",
    "failed searches": lambda _: "/searches?state=failed",
    "meta-training": lambda ids: f"/meta-trainings/{ids.meta_training}",
    "final training": lambda ids: f"/final-trainings/{ids.final_training}",
    "settings": lambda _: "/settings",
    "new search": lambda _: "/searches/new",
    "new search like another": lambda ids: f"/searches/new?from={ids.succeeded}",
    "search": lambda ids: f"/searches/{ids.succeeded}",
    "running search": lambda ids: f"/searches/{ids.running}",
    "queued search": lambda ids: f"/searches/{ids.queued}",
    "failed search": lambda ids: f"/searches/{ids.failed}",
    "candidate": lambda ids: f"/candidates/{ids.best}",
    "failed candidate": lambda ids: f"/candidates/{ids.succeeded}-5",
    "comparison": lambda ids: f"/compare?id={ids.best}&id={ids.succeeded}-0&id={ids.succeeded}-1",
    "empty comparison": lambda _: "/compare?id=nosuch-1",
    "searches compared": lambda ids: f"/searches/compare?id={ids.succeeded}&id={ids.running}",
    "no searches compared": lambda _: "/searches/compare",
    "checkpoints": lambda _: "/checkpoints",
    "checkpoint": lambda ids: f"/checkpoints/{ids.checkpoint}",
    "fidelity report": lambda ids: f"/fidelity-reports/{ids.fidelity_report}",
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_works_and_is_open_to_everyone(
    open_tab: Callable[..., Tab], population: Population, name: str
) -> None:
    tab = open_tab(viewport=PHONE, color_scheme="light")
    tab.open(PAGES[name](population))
    for viewport, scheme in ((PHONE, "light"), (WIDE, "dark")):
        tab.page.set_viewport_size(viewport)
        tab.page.emulate_media(color_scheme=scheme)
        assert tab.wider_than_window() == []
        assert tab.barriers() == []
    assert tab.errors == []
