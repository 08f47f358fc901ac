"""Pictures of how fast a frozen GTN teaches: learning curves, and the schedule that it learned."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from gtn_core.checkpoint import CurveName, FrozenCheckpoint

_WIDTH, _PANEL_HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 120, 28, 34  # around what is plotted; the names stand at the right
_INK, _PAPER, _GRID = "#202020", "#ffffff", "#e0e0e0"
_COLOURS = ("#1f6fb4", "#d1651b", "#808080", "#2e8b57")
_NAMES: dict[CurveName, str] = {"gtn": "GTN data", "real": "real data", "noise": "noise"}


@dataclass(frozen=True)
class _Panel:
    """One plot: lines over inner steps from 1."""

    title: str
    lines: Mapping[str, Sequence[float]]
    low: float
    high: float
    label: str  # a format of the values at the left


def learning_curves_png(checkpoint: FrozenCheckpoint) -> bytes:
    """Accuracy by inner step on GTN data, real data and noise; learned learning rates and momenta below.

    A checkpoint whose manifest has no learning curves shows its schedule alone.
    """
    learning_rates, momenta = checkpoint.schedule()
    curves = {_NAMES[name]: each for name, each in checkpoint.manifest.learning_curves.items()}
    panels = [
        _Panel(
            "learning rate by inner step", {"learned": learning_rates}, 0, _ceiling(learning_rates), "{:.2g}"
        ),
        _Panel("momentum by inner step", {"learned": momenta}, 0, 1, "{:.2f}"),
    ]
    if curves:
        panels.insert(0, _Panel("validation accuracy after each inner step", curves, 0, 1, "{:.0%}"))
    sheet = Image.new("RGB", (_WIDTH, _PANEL_HEIGHT * len(panels)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, panel in enumerate(panels):
        _draw_panel(draw, panel, row * _PANEL_HEIGHT)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _draw_panel(draw: ImageDraw.ImageDraw, panel: _Panel, top: int) -> None:
    font = ImageFont.load_default(12)
    steps = max(len(line) for line in panel.lines.values())
    width, height = _WIDTH - _LEFT - _RIGHT, _PANEL_HEIGHT - _TOP - _BOTTOM

    def place(step: int, value: float) -> tuple[float, float]:
        share = (value - panel.low) / (panel.high - panel.low)
        return _LEFT + width * (step - 1) / max(1, steps - 1), top + _TOP + height * (1 - share)

    draw.text((_LEFT, top + 6), panel.title, _INK, font)
    for fifth in range(6):
        value = panel.low + (panel.high - panel.low) * fifth / 5
        left, y = place(1, value)
        draw.line([(left, y), (left + width, y)], _GRID)
        draw.text((_LEFT - 8, y), panel.label.format(value), _INK, font, anchor="rm")
    for step in _ticks(steps):
        x, y = place(step, panel.low)
        draw.text((x, y + 6), str(step), _INK, font, anchor="mt")
    free = float(top)  # where the next name may stand: names of lines that end close together would overlap
    ends = sorted(enumerate(panel.lines.items()), key=lambda each: -each[1][1][-1])
    for number, (name, line) in ends:
        points = [place(step, value) for step, value in enumerate(line, 1)]
        colour = _COLOURS[number % len(_COLOURS)]
        draw.line(points, colour, 2)
        for x, y in points if len(points) <= 40 else ():
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), colour)
        x, y = points[-1]
        free = max(free + 14, y)
        draw.text((x + 8, free), f"{name} {panel.label.format(line[-1])}", colour, font, anchor="lm")


def _ticks(steps: int) -> list[int]:
    """About ten round steps, and the first and the last."""
    stride = next(each for each in (1, 2, 5, 10, 20, 50, 100, 200) if steps / each <= 12)
    inner = [step for step in range(stride, steps, stride) if step > 1 and steps - step > stride / 2]
    return sorted({1, *inner, steps})


def _ceiling(values: Sequence[float]) -> float:
    """The least of 1, 2 or 5 times a power of ten that no value exceeds."""
    highest = max(values)
    power = 10.0 ** math.floor(math.log10(highest))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= highest)
