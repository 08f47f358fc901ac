"""Cells drawn as text and as SVG."""

from xml.etree import ElementTree

from nas.drawing import CellDiagram, Edge, draw_svg, draw_text
from nas.search_spaces.base import SearchSpace
from nas.search_spaces.nasbench201 import NasBench201, NasBench201Config

SPACE = NasBench201(NasBench201Config())
CELL = SPACE.parse("|none~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")


def test_text_says_what_each_node_sums_and_what_has_no_effect() -> None:
    assert draw_text(SPACE, CELL).splitlines() == [
        "cell",
        "  input",
        "  node 1 ◀  nothing",
        "  node 2 ◀┬ nor_conv_1x1 ── input",
        "          └ avg_pool_3x3 ╌╌ node 1  (no effect)",
        "  output ◀┬ skip_connect ── input",
        "          └ nor_conv_3x3 ── node 2",
    ]


def test_the_svg_is_a_document_with_every_node_and_edge() -> None:
    svg = draw_svg(SPACE, CELL)
    assert svg is not None
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(map(str, texts)) == sorted(
        (*SPACE.diagrams(CELL)[0].nodes, "nor_conv_1x1", "avg_pool_3x3", "skip_connect", "nor_conv_3x3")
    )
    dashed = [element for element in root.iter() if "stroke-dasharray" in element.attrib]
    assert len(dashed) == 1, "the pool of a node without input"
    # Nothing is drawn outside: label boxes lie within the height.
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    group = root.find("{http://www.w3.org/2000/svg}g")
    assert group is not None
    shift = float(group.attrib["transform"].rstrip(")").split()[-1])
    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert 0 <= shift + float(box.attrib["y"]) <= height - 22
        assert 0 <= float(box.attrib["x"]) <= width - float(box.attrib["width"])


def test_live_edges_lead_from_an_input_to_the_output() -> None:
    on_path = (Edge("a", "c", "x"), Edge("c", "out", "y"))
    dead_end, unfed = Edge("a", "d", "x"), Edge("b", "out", "x")
    diagram = CellDiagram("t", ("a", "b", "c", "d", "out"), ("a",), "out", (*on_path, dead_end, unfed))
    assert diagram.live_edges() == set(on_path)


def test_a_space_without_diagrams_shows_its_encoding(toy_space: SearchSpace) -> None:
    architecture = toy_space.parse("012301")
    assert draw_text(toy_space, architecture) == "012301"
    assert draw_svg(toy_space, architecture) is None
