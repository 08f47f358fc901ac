"""The NAS-Bench-201 cell: its string, and the short program that a cell comes down to.

A cell (Dong & Yang, ICLR 2020) has four nodes; node 0 is its input, node 3 its output. Every pair of nodes
(source < target) is an edge that carries one of five operations, and a node is the sum of its edges:

    |op~0|+|op~0|op~1|+|op~0|op~1|op~2|
     0→1    0→2  1→2    0→3  1→3  2→3

Many strings name the same computation. `reduce_cell` finds it: `none` vanishes, `skip_connect` passes its
source on, edges that the input does not reach or that do not reach the output are dropped, and what is left
is numbered in one way whatever the numbers of its nodes were.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product

from gtn_core.errors import InvalidArchitectureError

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) in the order of the string."""

CellOperations = tuple[str, ...]
"""One operation per edge, in the order of `EDGES`."""

_INPUT = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on a sum of earlier values; a value that occurs twice is added twice."""

    operation: str
    inputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CellProgram:
    """Value 0 is the cell's input, value n that of step n (from 1); the output is a sum of values.

    An output without values is a cell that its input does not reach: zero everywhere.
    """

    steps: tuple[Step, ...]
    output: tuple[int, ...]

    def __str__(self) -> str:
        lines = [f"{step.operation}({_sum(step.inputs)})" for step in self.steps]
        return "; ".join([*lines, _sum(self.output)])


def format_cell(operations: CellOperations) -> str:
    """Write the benchmark's string."""
    edges = dict(zip(EDGES, operations, strict=True))
    nodes = ("".join(f"|{edges[source, node]}~{source}" for source in range(node)) for node in (1, 2, 3))
    return "+".join(f"{node}|" for node in nodes)


def parse_cell(encoding: str) -> CellOperations:
    """Read the benchmark's string. Raises InvalidArchitectureError naming the node and edge at fault."""
    nodes = encoding.split("+")
    if len(nodes) != 3:
        raise _invalid(encoding, f"expected 3 nodes joined by '+', got {len(nodes)}")
    operations: list[str] = []
    for node, text in enumerate(nodes, start=1):
        edges = text.split("|")
        if len(edges) != node + 2 or edges[0] or edges[-1]:
            raise _invalid(encoding, f"node {node} should be {node} edge(s) between bars, got {text!r}")
        for source, edge in enumerate(edges[1:-1]):
            operation, _, given_source = edge.partition("~")
            if given_source != str(source):
                raise _invalid(encoding, f"node {node}: expected 'operation~{source}', got {edge!r}")
            if operation not in OPERATIONS:
                known = ", ".join(OPERATIONS)
                raise _invalid(encoding, f"node {node}: unknown operation {operation!r}; known: {known}")
            operations.append(operation)
    return tuple(operations)


@lru_cache(maxsize=4096)
def reduce_cell(operations: CellOperations) -> CellProgram:
    """Find the program that isomorphic cells share.

    Convolutions have weights, so two of them stay two even when they read the same values, while one whose
    value is used twice stays one: the sums differ. An average pool has none and is computed once. The
    benchmark's own unique string (its `to_unique_str`) does not tell the two apart, and leaves the zeros of
    `none` in its sums: it finds 6,466 cells where there are 5,260 programs.

    An operation on a node that the input does not reach counts as zero, as it does in the benchmark's
    unique string. Executed literally, its batch normalization would turn zero into a learned constant.
    """
    steps, output = _evaluate(operations)
    return _renumber(steps, output)


def representative(program: CellProgram) -> CellOperations:
    """The cell that stands for all that come down to a program: the first, in the order of OPERATIONS."""
    return _representatives()[program]


@cache
def _representatives() -> dict[CellProgram, CellOperations]:
    found: dict[CellProgram, CellOperations] = {}
    for operations in product(OPERATIONS, repeat=len(EDGES)):
        found.setdefault(_renumber(*_evaluate(operations)), operations)
    return found


def _evaluate(operations: CellOperations) -> tuple[list[Step], tuple[int, ...]]:
    """Each node as the values it adds up, and the steps that make them."""
    steps: list[Step] = []
    nodes: dict[int, tuple[int, ...]] = {0: (_INPUT,), 1: (), 2: (), 3: ()}
    for (source, target), operation in zip(EDGES, operations, strict=True):
        inputs = nodes[source]
        if operation == "none" or not inputs:
            continue
        values = inputs if operation == "skip_connect" else (_place(Step(operation, inputs), steps),)
        nodes[target] = tuple(sorted(nodes[target] + values))
    return steps, nodes[3]


def _place(step: Step, steps: list[Step]) -> int:
    """The number of `step`'s value, after appending the step unless it is a pool that is there already."""
    if step.operation == "avg_pool_3x3" and step in steps:
        return steps.index(step) + 1
    steps.append(step)
    return len(steps)


def _renumber(steps: list[Step], output: tuple[int, ...]) -> CellProgram:
    """The first, in lexicographic order, of all the ways to order the steps that the output needs."""
    live = _live(steps, output)
    orders: list[tuple[int, ...]] = [(_INPUT,)]
    numbered: list[Step] = []
    for _ in live:
        extensions = [
            (_places(order, steps[value - 1].inputs), steps[value - 1].operation, (*order, value))
            for order in orders
            for value in live.difference(order)
            if set(steps[value - 1].inputs) <= set(order)
        ]
        inputs, operation = min(extension[:2] for extension in extensions)
        orders = [extension[2] for extension in extensions if extension[:2] == (inputs, operation)]
        numbered.append(Step(operation, inputs))
    return CellProgram(tuple(numbered), min(_places(order, output) for order in orders))


def _live(steps: list[Step], output: tuple[int, ...]) -> set[int]:
    """The steps that the output needs, by number."""
    live = set(output)
    for value in range(len(steps), 0, -1):
        if value in live:
            live.update(steps[value - 1].inputs)
    return live - {_INPUT}


def _places(order: tuple[int, ...], values: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(order.index(value) for value in values))


def _sum(values: tuple[int, ...]) -> str:
    return "+".join(map(str, values)) or "zero"


def _invalid(encoding: str, reason: str) -> InvalidArchitectureError:
    example = format_cell(("nor_conv_3x3",) * len(EDGES))
    return InvalidArchitectureError(
        f"{encoding[:200]!r} is not a NAS-Bench-201 cell: {reason[:400]}. A cell looks like {example}"
    )
