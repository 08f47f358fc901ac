"""A browser without scripts: a client that keeps cookies and sends forms with their token."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.controller.sessions import CSRF_FIELD

Submit = Callable[..., Any]


@pytest.fixture
def submit(http: TestClient) -> Submit:
    """`submit(path, {"field": "value"})`: a form of a page of ours."""

    return submitting(http)


def submitting(http: TestClient) -> Submit:
    """The same for a controller of a test's own."""

    def send(path: str, form: dict[str, Any] | None = None) -> Any:
        page = http.get("/").text
        token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
        headers = {"Origin": str(http.base_url)}
        return http.post(
            path, data={CSRF_FIELD: token, **(form or {})}, headers=headers, follow_redirects=False
        )

    return send
