"""Forms from schemas: what they show, and that filling them in says what was meant."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from nas.algorithms import ALGORITHMS
from nas.estimators import ESTIMATORS
from nas.search_spaces import SEARCH_SPACES
from services.dashboard.schema_form import FormField, fields_of, read_form


class Limits(BaseModel):
    """An object within."""

    most: int | None = Field(None, ge=1, description="the most")


class Options(BaseModel):
    """One of each kind."""

    width: int = Field(16, ge=1, le=512, description="in channels")
    rate: float | None = Field(0.1, gt=0)
    fast: bool = True
    kind: Literal["a", "b"] = "a"
    parts: Annotated[tuple[Literal["x", "y"], ...], Field(min_length=1)] = ("x",)
    note: str = ""
    members: list[dict[str, Any]] = []
    words: list[str] = []
    limits: Limits = Limits()
    fixed: Literal["always"] = "always"


def fields(**values: Any) -> dict[str, FormField]:
    return {field.name: field for field in fields_of(Options.model_json_schema(), values, "o.")}


def said(**form: str | list[str]) -> Any:
    texts = {f"o.{name}": text if isinstance(text, list) else [text] for name, text in form.items()}
    untouched = {
        field.name: list(field.selected) if field.control == "choices" else [field.text]
        for field in fields().values()
    }
    return read_form(fields().values(), untouched | texts).get("o", {})


def test_each_kind_of_value_has_its_control():
    assert {name: field.control for name, field in fields().items()} == {
        "o.width": "number",
        "o.rate": "number",
        "o.fast": "select",
        "o.kind": "select",
        "o.parts": "choices",
        "o.note": "text",
        "o.members": "json",
        "o.words": "lines",
        "o.limits.most": "number",
    }


def test_a_field_shows_its_default_or_the_value_that_is_given():
    assert (fields()["o.width"].text, fields(width=8)["o.width"].text) == ("16", "8")
    assert (fields()["o.rate"].text, fields(rate=None)["o.rate"].text) == ("0.1", "")
    assert (fields()["o.fast"].selected, fields(fast=False)["o.fast"].selected) == (("true",), ("false",))
    assert fields(parts=["x", "y"])["o.parts"].selected == ("x", "y")
    assert fields(words=["x|y", "z"])["o.words"].text == "x|y\nz"
    assert fields(limits={"most": 7})["o.limits.most"].text == "7"
    assert fields(width="eight")["o.width"].text == "eight"


def test_a_field_tells_its_meaning_and_bounds():
    assert (fields()["o.width"].label, fields()["o.width"].hint) == ("Width", "In channels")
    assert fields()["o.width"].bounds == "1 to 512"
    assert fields()["o.rate"].bounds == "above 0"
    assert fields()["o.limits.most"].bounds == "at least 1"


def test_an_untouched_form_says_nothing():
    assert said() == {}


@pytest.mark.parametrize(
    ("form", "request_"),
    [
        ({"width": " 8 "}, {"width": 8}),
        ({"width": "8.5"}, {"width": "8.5"}),
        ({"width": "eight"}, {"width": "eight"}),
        ({"width": ""}, {}),
        ({"rate": "1e-3"}, {"rate": 0.001}),
        ({"rate": ""}, {"rate": None}),
        ({"fast": "false"}, {"fast": False}),
        ({"kind": "b"}, {"kind": "b"}),
        ({"parts": ["x", "y"]}, {"parts": ["x", "y"]}),
        ({"parts": []}, {"parts": []}),
        ({"note": "12"}, {"note": "12"}),
        ({"members": '[{"name": "gtn"}]'}, {"members": [{"name": "gtn"}]}),
        ({"words": " x|y \r\n\r\nz\n"}, {"words": ["x|y", "z"]}),
        ({"words": " \n "}, {}),
        ({"members": "[{"}, {"members": "[{"}),
        ({"members": "[" * 20_000}, {"members": "[" * 20_000}),
        ({"members": r'["\ud800"]'}, {"members": r'["\ud800"]'}),
        ({"limits.most": "5"}, {"limits": {"most": 5}}),
    ],
)
def test_what_is_filled_in_is_said(form: dict[str, Any], request_: dict[str, Any]):
    assert said(**form) == request_


@pytest.mark.parametrize("registry", [SEARCH_SPACES, ALGORITHMS, ESTIMATORS], ids=lambda each: each.kind)
def test_every_registered_schema_has_a_form_whose_defaults_say_nothing(registry: Any):
    for name in registry.names():
        made = fields_of(registry.schema(name), {})
        untouched = {
            field.name: list(field.selected) if field.control == "choices" else [field.text] for field in made
        }
        assert read_form(made, untouched) == {}, name
        assert all(field.hint for field in made), name
