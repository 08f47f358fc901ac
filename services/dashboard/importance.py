"""Importance of choices as grids: a row for each choice, a column for each option, colour for the effect."""

from collections.abc import Iterator
from dataclasses import dataclass

from services.schemas.analysis import ChoiceImportanceView, Importance, OptionEffectView

ROWS_AT_ONCE = 12
"""Choices shown before the rest is folded away: those that explain most."""

STRENGTHS = (0.2, 0.5, 0.8)
"""Hedges' g from which an effect counts as small, medium and large (Cohen's own words)."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One option of one choice."""

    effect: OptionEffectView
    tone: str  # a CSS class: "better-3" to "worse-3", or "" for next to nothing


@dataclass(frozen=True, slots=True)
class Grid:
    """Choices that have the same options."""

    options: tuple[str, ...]
    rows: tuple[tuple[ChoiceImportanceView, tuple[Cell, ...]], ...]
    folded: bool


def grids(importance: Importance) -> list[Grid]:
    """The most explaining choices, then the rest folded; of each, one grid for each set of options."""
    by_share = sorted(importance.choices, key=lambda choice: -(choice.explained or 0))
    shown = {choice.choice for choice in by_share[:ROWS_AT_ONCE]}
    first = [choice for choice in importance.choices if choice.choice in shown]
    rest = [choice for choice in importance.choices if choice.choice not in shown]
    sign = 1 if importance.direction == "max" else -1
    return [*_grids(first, sign, folded=False), *_grids(rest, sign, folded=True)]


def _grids(choices: list[ChoiceImportanceView], sign: int, *, folded: bool) -> Iterator[Grid]:
    groups: dict[tuple[str, ...], list[ChoiceImportanceView]] = {}
    for choice in choices:
        groups.setdefault(tuple(effect.option for effect in choice.options), []).append(choice)
    for options, members in groups.items():
        rows = tuple(
            (choice, tuple(Cell(effect, _tone(effect, sign)) for effect in choice.options))
            for choice in members
        )
        yield Grid(options, rows, folded)


def _tone(effect: OptionEffectView, sign: int) -> str:
    if effect.effect_size is None or effect.low is None or effect.high is None:
        return ""
    if effect.low <= 0 <= effect.high:
        return ""  # could be chance
    strength = sum(abs(effect.effect_size) >= each for each in STRENGTHS)
    return f"{'better' if effect.effect_size * sign > 0 else 'worse'}-{strength}" if strength else ""
