"""The whole network as SVG."""

from xml.etree import ElementTree

import numpy as np
import pytest

from nas.cost import Part, network_parts
from nas.network_drawing import draw_network
from nas.search_spaces import get_search_space

SVG = "{http://www.w3.org/2000/svg}"


def texts(document: str) -> list[str]:
    return [str(element.text) for element in ElementTree.fromstring(document).iter(f"{SVG}text")]


def test_equal_parts_in_a_row_are_drawn_once() -> None:
    cell = Part("body.0", "cell", 1500, 300, (4, 8, 8), (4, 8, 8))
    parts = [
        Part("stem", "stem", 10, 100, (1, 8, 8), (4, 8, 8)),
        cell,
        cell,
        Part("head", "head", 40, 0, (4, 8, 8), (10,)),
    ]
    shown = texts(draw_network(parts, (1, 8, 8)))
    assert "2 × cell" in shown
    assert "3k parameters" in shown, "both cells together"
    assert "86 % of FLOPs" in shown
    assert {"image", "stem", "head", "1 × 8 × 8", "10"} <= set(shown)


def test_names_are_escaped() -> None:
    drawn = draw_network([Part("<x>", "a & <b>", 1, 0, None, None)], (1, 2, 2))
    assert "a & <b>" in texts(drawn)


@pytest.mark.parametrize("name", ["nasbench201", "nasnet_micro", "resnet_macro"])
def test_every_box_lies_within_the_picture(name: str) -> None:
    space = get_search_space(name)
    architecture = space.sample(np.random.default_rng(0))
    parts = network_parts(
        lambda: space.build(architecture, image_shape=(3, 32, 32), num_classes=10, seed=0), (3, 32, 32)
    )
    root = ElementTree.fromstring(draw_network(parts, (3, 32, 32)))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    groups = [group for group in root.iter(f"{SVG}g") if "transform" in group.attrib]
    assert len(groups) >= 4
    for group in groups:
        shift = float(group.attrib["transform"].removeprefix("translate(").split()[0])
        for box in group.iter(f"{SVG}rect"):
            assert shift + float(box.attrib["x"]) >= 0
            assert shift + float(box.attrib["x"]) + float(box.attrib["width"]) <= width
            assert float(box.attrib["y"]) >= 0
            assert float(box.attrib["y"]) + float(box.attrib["height"]) <= height
