"""The pages for people: complete without any other server, and under a policy that allows no inline code."""

import errno
import re
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient

from services.store import Store


class Loaded(HTMLParser):
    """What a page loads, and what it holds that a strict policy would block."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.inline: list[str] = []
        self._in: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "link" and given.get("href"):
            self.urls.append(str(given["href"]))
        elif given.get("src"):
            self.urls.append(str(given["src"]))
        elif tag in {"script", "style"}:
            self.inline.append(tag)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_loads_only_what_the_controller_serves_and_its_policy_allows(
    http: TestClient, path: str
) -> None:
    page = http.get(path)
    loaded = Loaded(page.text)

    assert page.status_code == 200
    assert loaded.inline == []
    assert loaded.urls
    for url in loaded.urls:
        assert url.startswith("/"), url
        asset = http.get(url)
        assert asset.status_code == 200, url
        assert asset.headers["X-Content-Type-Options"] == "nosniff"
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"https?:", policy)


def test_the_documentation_is_swagger_ui_of_our_own_document(http: TestClient) -> None:
    assert "/openapi.json" in http.get("/assets/docs.js").text
    bundle = http.get("/assets/swagger-ui/swagger-ui-bundle.js")
    assert bundle.headers["Content-Type"].startswith("text/javascript")
    assert "SwaggerUIBundle" in bundle.text
    assert "Apache License" in http.get("/assets/swagger-ui/LICENSE").text


@pytest.mark.parametrize(
    "path", ["", "/", "/nosuch.js", "/../app.py", "/%2e%2e/app.py", "/swagger-ui", "/..%2f..%2fsettings.py"]
)
def test_nothing_but_assets_is_served_below_assets(http: TestClient, path: str) -> None:
    answer = http.get(f"/assets{path}")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/assets/docs.js", "/assets/", "/docs", "/"])
def test_pages_have_no_other_methods(http: TestClient, path: str) -> None:
    answer = http.post(path)

    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_page_that_a_full_disk_stops_says_so_as_a_page(
    http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "list_jobs", full)
    answer = http.get("/searches", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (507, "text/html; charset=utf-8")
    assert "GTN_NAS_DATA_DIR" in answer.text
