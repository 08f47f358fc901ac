"""What a mistyped field is told."""

from typing import Any

import pytest
from pydantic import Field, ValidationError, model_validator

from gtn_core.strict_model import DEEPEST, LARGEST, MOST_TOLD, StrictModel


class Inner(StrictModel):
    width: int = 1
    depth: int = 1


class Outer(StrictModel):
    learning_rate: float = Field(0.1, gt=0)
    inner: Inner = Inner()
    several: tuple[Inner, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> "Outer":
        if self.learning_rate == self.inner.width:
            raise ValueError("rate {and} width are equal")
        return self


def failures(data: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return {".".join(map(str, each["loc"])): each["msg"] for each in caught.value.errors()}


def test_a_mistyped_field_is_told_the_nearest_one():
    assert failures({"learnign_rate": 1}) == {
        "learnign_rate": "there is no such field; did you mean learning_rate?"
    }


def test_a_field_like_none_is_told_all_of_its_own_model():
    assert failures({"inner": {"qqq": 1}, "several": [{}, {"zzz": 1}]}) == {
        "inner.qqq": "there is no such field; known: width, depth",
        "several.1.zzz": "there is no such field; known: width, depth",
    }


def test_all_that_is_wrong_is_told_together_with_its_kind_and_input():
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"learning_rate": -1, "inner": {"width": "x", "dept": 2}, "more": [3]})
    found = {each["loc"]: (each["type"], each["input"]) for each in caught.value.errors()}
    assert found == {
        ("learning_rate",): ("greater_than", -1),
        ("inner", "width"): ("int_parsing", "x"),
        ("inner", "dept"): ("extra_forbidden", 2),
        ("more",): ("extra_forbidden", [3]),
    }
    assert caught.value.title == "Outer"


def test_what_holds_between_fields_is_still_checked():
    assert failures({"learning_rate": 1, "inner": {"width": 1}}) == {
        "": "Value error, rate {and} width are equal"
    }
    assert failures({"inner": {"width": 1, "deep": 2}, "learning_rate": 1}) == {
        "inner.deep": "there is no such field; did you mean depth?"
    }


def test_of_many_unknown_fields_the_first_are_told_beside_what_else_is_wrong():
    told = failures({"learning_rate": -1} | {f"rate_{number}": 0 for number in range(40_000)})
    assert list(told) == ["learning_rate", *(f"rate_{number}" for number in range(MOST_TOLD))]


class Open(StrictModel):
    count: int = 0
    options: dict[str, Any] = Field(default_factory=dict)


def nested(levels: int) -> Any:
    """So many objects and lists within one another."""
    inner: Any = {}
    for level in range(1, levels):
        inner = {"a": inner} if level % 2 else [inner]
    return inner


def test_what_is_nested_deeper_than_code_can_walk_is_refused_by_its_field():
    assert Open(options={"a": nested(DEEPEST - 2)})
    for levels in (DEEPEST - 1, 100_000):
        with pytest.raises(ValidationError) as caught:
            Open.model_validate({"options": {"a": nested(levels)}})
        (error,) = caught.value.errors()
        assert (error["loc"], error["input"]) == (("options",), None)
        assert "more than 32 levels deep" in error["msg"]


@pytest.mark.parametrize("given", [LARGEST + 1, -(10**400), str(10**400)])
def test_a_number_beyond_any_count_is_refused_by_its_field(given: int | str):
    assert Open(count=LARGEST).count == LARGEST
    with pytest.raises(
        ValidationError, match="whole numbers are at most 18446744073709551616 here"
    ) as caught:
        Open.model_validate({"count": given})
    assert [error["loc"] for error in caught.value.errors()] == [("count",)]


def test_it_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Inner().width = 3
