"""Choices as a table, distances and differences."""

import numpy as np

from nas.architecture import Architecture
from nas.choice_table import ABSENT, Difference, differences, tabulate
from nas.search_spaces import get_search_space
from nas.search_spaces.base import SearchSpace


def test_codes_and_distances_by_hand(toy_space: SearchSpace) -> None:
    architectures = [Architecture("toy", encoding) for encoding in ("000000", "000123", "333333")]
    table = tabulate(toy_space, architectures)
    assert table.codes.tolist() == [[0] * 6, [0, 0, 0, 1, 2, 3], [3] * 6]
    assert list(table.domains["0"]) == list("0123")
    assert table.distances(table.codes[1]).tolist() == [3, 0, 5]


def test_no_architectures_are_an_empty_table(toy_space: SearchSpace) -> None:
    assert tabulate(toy_space, []).codes.shape == (0, 6)


def test_a_choice_that_is_not_there_is_absent() -> None:
    space = get_search_space("resnet_macro")
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(50)]
    table = tabulate(space, drawn)
    names = list(table.domains)
    for architecture, row in zip(drawn, table.codes, strict=True):
        made = space.choices(architecture)
        told = {
            name: table.domains[name][code] for name, code in zip(names, row, strict=True) if code != ABSENT
        }
        assert told == made
    assert (table.codes == ABSENT).any()


def test_differences_lead_from_one_to_the_other(toy_space: SearchSpace) -> None:
    before, after = Architecture("toy", "000000"), Architecture("toy", "010003")
    assert differences(toy_space, before, after) == (Difference("1", "0", "1"), Difference("5", "0", "3"))
    assert differences(toy_space, before, before) == ()


def test_a_stage_that_goes_takes_its_choices_along() -> None:
    space = get_search_space("resnet_macro", stages=2, max_depth=1)
    with_it = space.parse(
        '{"stages":[{"depth":1,"block":"residual","width":16,"kernel_size":3,"stride":1},'
        '{"depth":1,"block":"residual","width":32,"kernel_size":3,"stride":2}]}'
    )
    without = space.parse(
        '{"stages":[{"depth":1,"block":"residual","width":16,"kernel_size":3,"stride":1},{"depth":0}]}'
    )
    changed = {each.choice: (each.before, each.after) for each in differences(space, with_it, without)}
    assert changed["stage2.depth"] == ("1", "0")
    assert changed["stage2.block"] == ("residual", None)


def test_a_space_without_open_choices_has_a_table_without_columns() -> None:
    space = get_search_space(
        "macro",
        description={"stem_channels": 4, "stages": [{"block": "plain", "depth": 1, "width": 4}]},
    )
    only = space.sample(np.random.default_rng(0))
    assert tabulate(space, [only, only]).codes.shape == (2, 0)
