"""Every page, wide and on a phone, light and dark: no error, no sideways scrolling, no barrier."""

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
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    ("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide-light", "phone-dark"]
)
def test_a_page_fits_its_window_works_and_is_open_to_everyone(
    open_tab: Callable[..., Tab], population: Population, name: str, viewport: dict[str, int], scheme: str
) -> None:
    tab = open_tab(viewport=viewport, color_scheme=scheme)

    tab.open(PAGES[name](population))

    assert tab.wider_than_window() == []
    assert tab.barriers() == []
    assert tab.errors == []
