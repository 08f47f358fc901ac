"""Text that is almost an architecture, a cursor or an event id: understood or refused by name."""

import base64
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from gtn_core.errors import GtnNasError
from nas import get_search_space
from nas.search_spaces import SEARCH_SPACES
from services.store import Store
from services.store.cursors import _digest

OPTIONS: dict[str, dict[str, Any]] = {
    "macro": {
        "description": {"stages": [{"block": ["plain", "residual"], "depth": [0, 1, 2], "width": [4, 8]}]}
    }
}
"""What a space needs; all others have defaults."""
SPACES = SEARCH_SPACES.names()
JSON_TEXT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=10,
).map(json.dumps)


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """The text with pieces of it removed, repeated, moved or replaced."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 20)))
        piece = draw(st.sampled_from(["", text[start:end] * 2, "~0", "|", "+", "9" * 30, "\0", "[", "-1"]))
        text = text[:start] + (piece or draw(st.text(max_size=3))) + text[end:]
    return text


@pytest.mark.parametrize("name", SPACES)
@given(data=st.data())
def test_a_damaged_encoding_is_refused_or_stands_for_an_architecture(name: str, data: st.DataObject) -> None:
    space = get_search_space(name, **OPTIONS.get(name, {}))
    architecture = space.sample(np.random.default_rng(data.draw(st.integers(0, 10))))
    text = data.draw(damaged(architecture.encoding) | JSON_TEXT | st.text(max_size=60))

    with suppress(GtnNasError):
        parsed = space.parse(text)
        assert space.parse(parsed.encoding) == parsed


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{" * 100_000, '{"normal":' * 50_000, "|" * 1_000_000, "9" * 5000]
)
def test_a_deep_or_long_encoding_is_refused_at_once(name: str, text: str) -> None:
    with pytest.raises(GtnNasError) as refused:
        get_search_space(name, **OPTIONS.get(name, {})).parse(text)
    assert len(str(refused.value)) < 10_000, "an error does not repeat all that was sent"


LISTS = [
    "/v1/searches", "/v1/meta-trainings", "/v1/final-trainings", "/v1/checkpoints", "/v1/candidates",
    "/v1/searches/{search}/candidates",
]  # fmt: skip


@given(
    path=st.sampled_from(LISTS),
    values=st.lists(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=20)
        | st.lists(st.integers()),
        max_size=5,
    ),
    order=st.sampled_from(["newest", "accuracy", "-accuracy", "-accuracy:search", "", "params"]),
    parameters=st.fixed_dictionaries(
        {}, optional={"order_by": st.sampled_from(["-accuracy", "loss", "number", "-created_at"])}
    ),
)
def test_an_invented_cursor_with_a_right_digest_is_refused_or_a_position(
    http: TestClient, scored_search: str, path: str, values: list[Any], order: str, parameters: dict[str, str]
) -> None:
    body = json.dumps([order, *values]).encode()
    cursor = base64.urlsafe_b64encode(_digest(body) + body).decode().rstrip("=")
    takes_order = "candidates" in path
    answer = http.get(
        path.format(search=scored_search), params={"cursor": cursor, **(parameters if takes_order else {})}
    )

    assert answer.status_code in {200, 422}, answer.text


@given(path=st.sampled_from(LISTS), cursor=st.text(min_size=1, max_size=100))
def test_a_cursor_of_any_text_is_refused(
    http: TestClient, scored_search: str, path: str, cursor: str
) -> None:
    answer = http.get(path.format(search=scored_search), params={"cursor": cursor})

    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]


@given(data=st.data())
def test_a_damaged_cursor_is_refused(http: TestClient, scored_search: str, data: st.DataObject) -> None:
    path = f"/v1/searches/{scored_search}/candidates"
    cursor = http.get(path, params={"limit": 1}).json()["next_cursor"]
    place = data.draw(st.integers(0, len(cursor) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_"))
    changed = cursor[:place] + letter + cursor[place + 1 :]

    answer = http.get(path, params={"limit": 1, "cursor": changed})

    assert answer.status_code == (200 if changed == cursor else 422)


@given(
    last_event_id=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
    | st.integers().map(str)
)
def test_any_last_event_id_is_understood_or_refused(
    http: TestClient, store: Store, scored_search: str, last_event_id: str
) -> None:
    if not store.get_job(scored_search).state.terminal:
        store.finish(scored_search, "runner", result={})
    headers = {"Last-Event-ID": last_event_id}

    answer = http.get(f"/v1/searches/{scored_search}/events", headers=headers)

    assert answer.status_code in {200, 204, 422}, answer.text
