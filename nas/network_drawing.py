"""A picture of a whole network: its parts from the image to the logits, each as large as what comes out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from nas.search_spaces.base import ImageShape
from nas.short_number import short

if TYPE_CHECKING:
    from nas.cost import Part

_COLUMN, _TALLEST, _WIDEST, _TOP, _BOTTOM = 132, 108, 84, 34, 92
_COLOURS = {"stem": "#0891b2", "head": "#9333ea", "reduction": "#d97706"}
_OTHER_COLOUR = "#2563eb"
_FONT = "font-family='ui-sans-serif, system-ui, sans-serif'"


def draw_network(parts: Sequence[Part], image_shape: ImageShape) -> str:
    """A standalone SVG document. Equal parts in a row are drawn once, with their number.

    A box is as high as the logarithm of its output's height, and as wide as that of its channels. Below it
    are the output's shape, its parameters, and its share of the network's FLOPs.
    """
    groups = [list(group) for _, group in groupby(parts, key=_appearance)]
    flops = sum(part.flops for part in parts)
    sizes = _Sizes([image_shape, *(part.output_shape for part in parts)])
    boxes = [_input_box(image_shape, sizes), *(_box(group, flops, sizes) for group in groups)]
    width, height = _COLUMN * len(boxes), _TOP + _TALLEST + _BOTTOM
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' "
            f"height='{height}' {_FONT} font-size='12' text-anchor='middle' role='img' class='drawing'>",
            f"<title>the network, from the image to {len(parts)} parts in a row</title>",
            _arrows(len(boxes)),
            *(
                f"<g transform='translate({_COLUMN * place + _COLUMN // 2} 0)'>{box}</g>"
                for place, box in enumerate(boxes)
            ),
            "</svg>",
        ]
    )


class _Sizes:
    """How large boxes are: the tallest and the widest output of the network fill their frame."""

    def __init__(self, shapes: Sequence[tuple[int, ...] | None]) -> None:
        known = [shape for shape in shapes if shape]
        self._highest = max((shape[1] for shape in known if len(shape) == 3), default=1)
        self._widest = max((shape[0] for shape in known if len(shape) == 3), default=1)

    def of(self, shape: tuple[int, ...] | None) -> tuple[float, float]:
        """Width and height in pixels; logits are a low, wide bar, what has no shape is a small square."""
        if not shape or len(shape) != 3:
            return (_WIDEST / 2, 14.0) if shape else (24.0, 24.0)
        return (
            16 + (_WIDEST - 16) * _part_of_log(shape[0], self._widest),
            20 + (_TALLEST - 20) * _part_of_log(shape[1], self._highest),
        )


def _part_of_log(value: int, largest: int) -> float:
    return math.log2(value + 1) / math.log2(largest + 1)


def _appearance(part: Part) -> tuple[object, ...]:
    return part.kind, part.params, part.flops, part.output_shape


def _input_box(image_shape: ImageShape, sizes: _Sizes) -> str:
    return _drawn("image", "#64748b", sizes.of(image_shape), [shape_text(image_shape)], "the image", None)


def _box(group: Sequence[Part], flops: int, sizes: _Sizes) -> str:
    part, times = group[0], len(group)
    title = part.kind if times == 1 else f"{times} × {part.kind}"
    share = sum(each.flops for each in group) / flops if flops else None
    lines = [
        shape_text(part.output_shape),
        f"{short(sum(each.params for each in group))} parameters",
        "" if share is None else f"{100 * share:.0f} % of FLOPs",
    ]
    told = f"{group[0].name} to {group[-1].name}" if times > 1 else part.name or part.kind
    colour = next((colour for word, colour in _COLOURS.items() if word in part.kind), _OTHER_COLOUR)
    return _drawn(title, colour, sizes.of(part.output_shape), lines, told, share, stacked=times > 1)


def _drawn(
    title: str,
    colour: str,
    size: tuple[float, float],
    lines: Sequence[str],
    told: str,
    share: float | None,
    *,
    stacked: bool = False,
) -> str:
    width, height = size
    middle = _TOP + _TALLEST / 2
    paper = (
        f"<rect x='{-width / 2:.1f}' y='{middle - height / 2:.1f}' width='{width:.1f}' "
        f"height='{height:.1f}' rx='5' fill='white' class='paper'/>"  # over the line between the boxes
    )
    rectangles = [
        f"<rect x='{-width / 2 + shift:.1f}' y='{middle - height / 2 - shift:.1f}' width='{width:.1f}' "
        f"height='{height:.1f}' rx='5' fill='{colour}' fill-opacity='{opacity}' stroke='{colour}' "
        "stroke-width='1.5' class='part'/>"
        for shift, opacity in ([(6, 0.1), (0, 0.25)] if stacked else [(0, 0.25)])
    ]
    below = _TOP + _TALLEST + 24
    texts = [
        f"<text y='{below + 17 * place}' class='muted' fill='#64748b'>{escape(line)}</text>"
        for place, line in enumerate(lines)
    ]
    bar = ""
    if share is not None:
        bar_y, bar_width = below + 17 * len(lines) - 6, _COLUMN - 32
        bar = (
            f"<rect x='{-bar_width / 2}' y='{bar_y}' width='{bar_width}' height='5' rx='2.5' fill='{colour}' "
            "fill-opacity='0.15'/>"
            f"<rect x='{-bar_width / 2}' y='{bar_y}' width='{bar_width * share:.1f}' height='5' rx='2.5' "
            f"fill='{colour}'/>"
        )
    heading = f"<text y='18' font-weight='600' class='ink' fill='#334155'>{escape(title)}</text>"
    return f"<title>{escape(told)}</title>{heading}{paper}{''.join(rectangles)}{''.join(texts)}{bar}"


def _arrows(boxes: int) -> str:
    y = _TOP + _TALLEST / 2
    start, end = _COLUMN // 2, _COLUMN * boxes - _COLUMN // 2
    line = f"<path d='M {start} {y} H {end}' stroke='#94a3b8' stroke-width='2'/>"
    tips = (
        f"<path d='M {x - 5} {y - 5} L {x + 3} {y} L {x - 5} {y + 5}' fill='none' stroke='#94a3b8' "
        "stroke-width='2'/>"
        for x in range(_COLUMN, _COLUMN * boxes, _COLUMN)
    )
    return f"<g class='arrows'>{line}{''.join(tips)}</g>"


def shape_text(shape: tuple[int, ...] | None) -> str:
    """`16 × 32 × 32` (channels, height, width); a dash where the shape is unknown."""
    return " × ".join(map(str, shape)) if shape else "–"
