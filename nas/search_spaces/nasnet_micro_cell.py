"""The cells of the ENAS/NAO micro space: their JSON, and the one form that isomorphic cells share.

A cell has five nodes. A node is the sum of two operations, each on the output of an earlier node or on one of
the cell's two inputs: 0 is the output of the cell before the previous one, 1 that of the previous cell, and
2 to 6 are the nodes. What no node takes as input is concatenated to the cell's output.

    {"normal": [[["conv_3x3", 1], ["identity", 0]], ... five nodes], "reduce": [... five nodes]}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gtn_core.errors import InvalidArchitectureError

if TYPE_CHECKING:
    from nas.search_spaces.nasnet_micro_network import Branch, Nodes

OPERATIONS = (
    "identity",
    "conv_1x1",
    "conv_3x3",
    "conv_1x3_3x1",
    "conv_1x7_7x1",
    "max_pool_2x2",
    "max_pool_3x3",
    "max_pool_5x5",
    "avg_pool_2x2",
    "avg_pool_3x3",
    "avg_pool_5x5",
)
"""Those that the network knows how to make; named here so that reading a cell needs no PyTorch."""

NODES = 5
INPUTS = 2
KINDS = ("normal", "reduce")

_EXAMPLE_NODE = '[["conv_3x3", 1], ["identity", 0]]'


@dataclass(frozen=True, slots=True)
class Cells:
    """The two cells that a network is built of."""

    normal: Nodes
    reduce: Nodes


def format_cells(cells: Cells) -> str:
    """Write compact JSON."""
    return json.dumps({"normal": cells.normal, "reduce": cells.reduce}, separators=(",", ":"))


@lru_cache(maxsize=4096)
def parse_cells(encoding: str) -> Cells:
    """Read JSON in any layout. Raises InvalidArchitectureError naming the cell, node and branch at fault."""
    try:
        value = json.loads(encoding)
    except (ValueError, RecursionError) as error:  # also an integer of thousands of digits
        raise _invalid(f"{encoding[:80]!r} is not JSON: {error}") from error
    if not isinstance(value, dict) or set(value) != set(KINDS):
        raise _invalid(f'expected an object with the cells "normal" and "reduce", got {_short(value)}')
    return Cells(*(_parse_cell(kind, value[kind]) for kind in KINDS))


@lru_cache(maxsize=4096)
def canonical(nodes: Nodes) -> Nodes:
    """The first, in lexicographic order, of all the ways to number the nodes and to order their branches.

    The order in which loose ends are concatenated is no difference: the weights behind them are learned.
    """
    # Node by node, the least that can come next; of equal ones each is tried, since what follows may differ.
    orders: list[tuple[Nodes, dict[int, int]]] = [((), {0: 0, 1: 1})]
    for place in range(INPUTS, INPUTS + NODES):
        following = [
            (node, number, before, places)
            for before, places in orders
            for number, node in _next(nodes, places)
        ]
        least = min(node for node, *_ in following)
        orders = [
            ((*before, node), {**places, number: place})
            for node, number, before, places in following
            if node == least
        ]
    return orders[0][0]


def _next(nodes: Nodes, places: Mapping[int, int]) -> Iterator[tuple[int, tuple[Branch, Branch]]]:
    """The nodes without a place whose inputs have one, by their old numbers, with the new ones inside."""
    for number, node in enumerate(nodes, start=INPUTS):
        if number not in places and all(source in places for _, source in node):
            first, second = sorted((operation, places[source]) for operation, source in node)
            yield number, (first, second)


def _parse_cell(kind: str, value: Any) -> Nodes:
    if not isinstance(value, list) or len(value) != NODES:
        raise _invalid(f"cell {kind!r} should be a list of {NODES} nodes, got {_short(value)}")
    nodes = []
    for number, node in enumerate(value, start=INPUTS):
        if not isinstance(node, list) or len(node) != 2:
            raise _invalid(
                f"cell {kind!r}, node {number}: expected two branches such as {_EXAMPLE_NODE}, "
                f"got {_short(node)}"
            )
        first, second = (_parse_branch(kind, number, branch) for branch in node)
        nodes.append((first, second))
    return tuple(nodes)


def _parse_branch(kind: str, number: int, branch: Any) -> Branch:
    where = f"cell {kind!r}, node {number}"
    if not isinstance(branch, list) or len(branch) != 2:
        raise _invalid(f'{where}: expected ["operation", input], got {_short(branch)}')
    operation, source = branch
    if not isinstance(operation, str) or operation not in OPERATIONS:
        raise _invalid(f"{where}: unknown operation {_short(operation)}; known: {', '.join(OPERATIONS)}")
    if type(source) is not int or not 0 <= source < number:
        raise _invalid(f"{where}: input {_short(source)} is not a whole number from 0 to {number - 1}")
    return operation, source


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _invalid(reason: str) -> InvalidArchitectureError:
    return InvalidArchitectureError(
        f"not a pair of nasnet_micro cells: {reason}. The encoding is "
        f'{{"normal": [{_EXAMPLE_NODE}, ... {NODES} nodes], "reduce": [...]}}'
    )
