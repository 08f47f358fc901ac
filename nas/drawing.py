"""Pictures of an architecture's cells: lines of text for a terminal, SVG for everything else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from xml.sax.saxutils import escape

from nas.architecture import Architecture

if TYPE_CHECKING:
    from nas.search_spaces.base import SearchSpace  # spaces import what they draw with from here


@dataclass(frozen=True, slots=True)
class Edge:
    """An operation from one node to another."""

    source: str
    target: str
    operation: str


@dataclass(frozen=True, slots=True)
class CellDiagram:
    """A cell to draw; every node is the sum (or concatenation) of its edges."""

    title: str
    nodes: tuple[str, ...]  # in an order in which every edge leads forward
    inputs: tuple[str, ...]
    output: str
    edges: tuple[Edge, ...]

    def live_edges(self) -> set[Edge]:
        """The edges on a path from an input to the output; the others have no effect."""
        fed, needed = set(self.inputs), {self.output}
        for node in self.nodes:
            if any(edge.target == node and edge.source in fed for edge in self.edges):
                fed.add(node)
        for node in reversed(self.nodes):
            if any(edge.source == node and edge.target in needed for edge in self.edges):
                needed.add(node)
        return {edge for edge in self.edges if edge.source in fed and edge.target in needed}


@runtime_checkable
class Drawable(Protocol):
    """A search space that can show its architectures as cells."""

    def diagrams(self, architecture: Architecture) -> tuple[CellDiagram, ...]:
        """The cells to draw, in order."""
        ...


def draw_text(space: SearchSpace, architecture: Architecture) -> str:
    """Every node with what it sums; the encoding when the space does not draw."""
    if not isinstance(space, Drawable):
        return architecture.encoding
    return "\n\n".join(_cell_text(diagram) for diagram in space.diagrams(architecture))


def draw_svg(space: SearchSpace, architecture: Architecture) -> str | None:
    """A standalone SVG document; None when the space does not draw."""
    if not isinstance(space, Drawable):
        return None
    return _stacked([_CellPicture(diagram) for diagram in space.diagrams(architecture)])


def _cell_text(diagram: CellDiagram) -> str:
    live, width = diagram.live_edges(), max(map(len, diagram.nodes))
    operation_width = max((len(edge.operation) for edge in diagram.edges), default=0)
    lines = [diagram.title]
    for node in diagram.nodes:
        incoming = [edge for edge in diagram.edges if edge.target == node]
        if not incoming:
            lines.append(f"  {node:{width}}" + ("" if node in diagram.inputs else " ◀  nothing"))
        for index, edge in enumerate(incoming):
            label = f"{node:{width}} ◀" if index == 0 else " " * (width + 2)
            line, note = ("──", "") if edge in live else ("╌╌", "  (no effect)")
            bracket = _bracket(index, len(incoming))
            lines.append(f"  {label}{bracket} {edge.operation:{operation_width}} {line} {edge.source}{note}")
    return "\n".join(line.rstrip() for line in lines)


def _bracket(index: int, count: int) -> str:
    if count == 1:
        return "─"
    return "┬" if index == 0 else "└" if index == count - 1 else "├"


_STEP, _RISE, _MARGIN, _RADIUS = 170, 56, 44, 26
_LABEL_HEIGHT = 22
_COLOURS = {"conv": "#2563eb", "pool": "#059669", "skip": "#64748b"}
_OTHER_COLOUR = "#9333ea"
_FONT = "font-family='ui-sans-serif, system-ui, sans-serif'"


def _label_width(edge: Edge) -> float:
    return 7.2 * len(edge.operation) + 16


class _CellPicture:
    """An arc diagram: nodes in a row, an edge between neighbours straight, a longer one over or under."""

    def __init__(self, diagram: CellDiagram) -> None:
        self.diagram = diagram
        self.place = {node: index for index, node in enumerate(diagram.nodes)}
        self.rises = list(self._rises())
        self.above = max([0, *(-rise for rise in self.rises)]) + _MARGIN
        self.height = self.above + max([0, *self.rises]) + _MARGIN
        self.width = _STEP * (len(diagram.nodes) - 1) + 2 * _MARGIN

    def elements(self) -> Iterable[str]:
        """Edges first, so that nodes cover their ends."""
        live = self.diagram.live_edges()
        for edge, rise in zip(self.diagram.edges, self.rises, strict=True):
            yield self._edge(edge, rise, alive=edge in live)
        for node in self.diagram.nodes:
            yield self._node(node)

    def _rises(self) -> Iterable[int]:
        """How far each edge bows: up (negative) from even nodes, down from odd ones, more when longer.

        Where two labels would lie on each other the later edge bows a little more.
        """
        drawn: dict[tuple[str, str], int] = {}
        labels: list[tuple[int, float, float]] = []  # rise, left, right
        for edge in self.diagram.edges:
            repeated = drawn.get((edge.source, edge.target), 0)
            drawn[edge.source, edge.target] = repeated + 1
            start = self.place[edge.source]
            side = 1 if start % 2 else -1
            rise = (self.place[edge.target] - start - 1 + repeated) * _RISE * side
            middle, half = (self._x(edge.source) + self._x(edge.target)) / 2, _label_width(edge) / 2
            while any(
                abs(rise - other) < _LABEL_HEIGHT and left < middle + half and middle - half < right
                for other, left, right in labels
            ):
                rise += _RISE // 2 * side
            labels.append((rise, middle - half, middle + half))
            yield rise

    def _edge(self, edge: Edge, rise: int, *, alive: bool) -> str:
        start, end = self._x(edge.source), self._x(edge.target)
        middle, colour = (start + end) / 2, _colour(edge.operation)
        # A cubic with both control points at 4/3 of the rise has its middle at the rise.
        control = f"C {start + 40} {rise * 4 / 3:.0f} {end - 40} {rise * 4 / 3:.0f}"
        width = _label_width(edge)
        dash = "" if alive else " stroke-dasharray='4 5'"
        return (
            f"<g opacity='{1 if alive else 0.4}'>"
            f"<path d='M {start} 0 {control} {end} 0' fill='none' stroke='{colour}' stroke-width='2'{dash}/>"
            f"<rect x='{middle - width / 2:.1f}' y='{rise - 11}' width='{width:.1f}' height='22' rx='11' "
            f"fill='{colour}'/>"
            f"<text x='{middle}' y='{rise + 4}' fill='white'>{escape(edge.operation)}</text></g>"
        )

    def _node(self, node: str) -> str:
        x = self._x(node)
        return (
            f"<circle cx='{x}' cy='0' r='{_RADIUS}' fill='#f8fafc' stroke='#334155' stroke-width='2'/>"
            f"<text x='{x}' y='4' fill='#0f172a'>{escape(node)}</text>"
        )

    def _x(self, node: str) -> int:
        return self.place[node] * _STEP + _MARGIN


def _stacked(pictures: list[_CellPicture]) -> str:
    """One document with the pictures below each other."""
    body, top = [], 0
    for picture in pictures:
        body.append(f"<g transform='translate(0 {top + picture.above})'>")
        body.append(f"<title>{escape(picture.diagram.title)}</title>")
        body.extend([*picture.elements(), "</g>"])
        top += picture.height
    width = max((picture.width for picture in pictures), default=0)
    named = escape(", ".join(picture.diagram.title for picture in pictures), {"'": "&apos;"})
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {top}' width='{width}' "
            f"height='{top}' {_FONT} font-size='12' text-anchor='middle' role='img' "
            f"aria-label='{named}'>",
            *body,
            "</svg>",
        ]
    )


def _colour(operation: str) -> str:
    return next((colour for word, colour in _COLOURS.items() if word in operation), _OTHER_COLOUR)
