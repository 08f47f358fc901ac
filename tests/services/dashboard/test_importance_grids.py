"""Importance as tables: which rows come first, which cells are coloured."""

from services.dashboard.importance import ROWS_AT_ONCE, grids
from services.schemas.analysis import ChoiceImportanceView, Importance, OptionEffectView


def effect(option: str, size: float | None, low: float | None, high: float | None) -> OptionEffectView:
    return OptionEffectView(
        option=option,
        n_with=5,
        n_without=5,
        mean_with=0.5,
        mean_without=0.4,
        difference=0.1,
        low=low,
        high=high,
        effect_size=size,
    )


def importance(*choices: ChoiceImportanceView, direction: str = "max") -> Importance:
    return Importance.model_validate(
        {"metric": "accuracy", "direction": direction, "candidates": 10, "total": 10, "choices": choices}
    )


def choice(name: str, explained: float | None, *effects: OptionEffectView) -> ChoiceImportanceView:
    return ChoiceImportanceView(choice=name, n=10, explained=explained, options=list(effects))


def tones(direction: str) -> list[str]:
    effects = (
        effect("large", 0.9, 0.05, 0.2),
        effect("small", 0.3, 0.05, 0.2),
        effect("worse", -0.6, -0.3, -0.1),
        effect("chance", 0.9, -0.1, 0.3),
        effect("tiny", 0.1, 0.01, 0.02),
        effect("unknown", None, None, None),
    )
    (grid,) = grids(importance(choice("edge", 0.5, *effects), direction=direction))
    return [cell.tone for cell in grid.rows[0][1]]


def test_colours_are_for_effects_that_are_more_than_chance() -> None:
    assert tones("max") == ["better-3", "better-1", "worse-2", "", "", ""]
    assert tones("min") == ["worse-3", "worse-1", "better-2", "", "", ""], "less is better"


def test_choices_with_the_same_options_share_a_table_and_the_least_explaining_are_folded() -> None:
    first = [choice(f"a{number}", number / 100, effect("x", 0, 0, 0)) for number in range(ROWS_AT_ONCE)]
    other = choice("b", 0.9, effect("y", 0, 0, 0))
    found = grids(importance(*first, other))
    assert [(grid.options, len(grid.rows), grid.folded) for grid in found] == [
        (("x",), ROWS_AT_ONCE - 1, False),
        (("y",), 1, False),
        (("x",), 1, True),
    ]
    assert found[2].rows[0][0].choice == "a0"


def test_nothing_is_no_table() -> None:
    assert grids(importance()) == []
