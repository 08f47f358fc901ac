"""Built-in names and entry points; the plugins here are real files of a real (tiny) distribution."""

from pathlib import Path
from typing import Any, Self

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from gtn_core.errors import UnknownNameError
from nas.registry import PluginError, Registry


class CountConfig(BaseModel):
    start: int = 0


class Count:
    name = "count"
    description = "Counts."
    Config = CountConfig


PLUGIN = """
from collections.abc import Callable

from pydantic import BaseModel

class Config(BaseModel):
    step: int = 1

class Steps:
    name = "steps"
    description = "Counts in steps."
    Config = Config

class Nameless:
    pass

class Unschemed:
    name, description = "unschemed", "Has options that JSON cannot say."

    class Config(BaseModel):
        when: "Callable[[], int]" = print

class Bare:
    name, description, Config = "bare", "Has no model of its options.", dict

class Untold:
    name, description, Config = "untold", None, Config
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[Any]:
    """A registry with one class built in, and an installed distribution with seven plugins."""
    (tmp_path / "counting_plugin.py").write_text(PLUGIN)
    (tmp_path / "broken_plugin.py").write_text("import no_such_module_anywhere")
    metadata = tmp_path / "counting-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[gtn_nas.tests_counting]\n"
        "steps = counting_plugin:Steps\n"
        "stairs = counting_plugin:Steps\n"
        "nameless = counting_plugin:Nameless\n"
        "broken = broken_plugin:Thing\n"
        "unschemed = counting_plugin:Unschemed\n"
        "bare = counting_plugin:Bare\n"
        "untold = counting_plugin:Untold\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return Registry("counter", "gtn_nas.tests_counting", (Count,))


def test_names_are_those_of_built_ins_and_plugins(registry: Registry[Any]) -> None:
    names = ("bare", "broken", "count", "nameless", "stairs", "steps", "unschemed", "untold")
    assert tuple(registry.names()) == names


def test_built_in(registry: Registry[Any]) -> None:
    assert registry.get("count") is Count
    assert registry.config("count", start=3) == CountConfig(start=3)
    assert registry.schema("count")["properties"]["start"]["default"] == 0
    assert registry.description("count") == "Counts."


def test_plugin(registry: Registry[Any]) -> None:
    assert registry.get("steps").description == "Counts in steps."
    assert registry.config("steps", step=2).model_dump() == {"step": 2}


def test_unknown_name_lists_the_known_ones(registry: Registry[Any]) -> None:
    with pytest.raises(
        UnknownNameError, match="unknown counter 'cuont'; known: bare, broken, count, nameless"
    ):
        registry.get("cuont")


def test_bad_option_names_its_place(registry: Registry[Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        registry.config("count", start="many")
    assert raised.value.errors()[0]["loc"] == ("start",)


@pytest.mark.parametrize("name", ["count", "steps"])
def test_an_option_that_there_is_not_is_refused_whoever_wrote_the_configuration(
    registry: Registry[Any], name: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        registry.config(name, strat=3)
    (error,) = raised.value.errors()
    assert error["loc"] == ("strat",)
    assert error["msg"].startswith("there is no such field; ")


def test_a_configuration_may_allow_what_it_has_no_field_for(
    registry: Registry[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    monkeypatch.setattr(Count, "Config", Open)
    assert registry.config("count", more=1).model_dump() == {"more": 1}


def test_a_configuration_may_complete_itself(
    registry: Registry[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Doubled(CountConfig):
        @model_validator(mode="after")
        def _double(self) -> Self:
            self.start *= 2
            return self

    monkeypatch.setattr(Count, "Config", Doubled)
    assert registry.config("count", start=2) == Doubled.model_construct(start=4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "cannot be imported: ModuleNotFoundError.*no_such_module_anywhere"),
        ("nameless", r"lacks the class attribute\(s\) name, description, Config"),
        ("stairs", "calls itself 'steps'"),
        ("unschemed", "has a Config without a JSON Schema: Cannot generate"),
        ("bare", r"has the Config <class 'dict'>; expected a subclass of pydantic\.main\.BaseModel"),
        ("untold", "has the description None; expected text"),
    ],
)
def test_a_broken_plugin_harms_only_itself(registry: Registry[Any], name: str, message: str) -> None:
    with pytest.raises(PluginError, match=f"counter plugin '{name}' .*{message}") as raised:
        registry.get(name)
    assert registry.get("count") is Count
    assert registry.sound() == {"count": Count, "steps": registry.get("steps")}
    assert (registry.description(name), registry.schema(name)) == (str(raised.value), {"not": {}})
