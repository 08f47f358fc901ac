import traceback
from pathlib import Path
from typing import Any

import pytest

from gtn_core.errors import DatasetError
from nas.architecture import Architecture
from nas.search_spaces import get_search_space
from nas.true_accuracies import (
    TrueAccuracy,
    draw_candidates,
    parse_true_accuracies,
    read_true_accuracies,
)


def toy(encoding: str, accuracy: float = 0.0) -> TrueAccuracy:
    return TrueAccuracy(Architecture("toy", encoding), accuracy)


def test_benchmark_table(shared_data: Path) -> None:
    space = get_search_space("nasbench201")
    table = read_true_accuracies(shared_data / "nas_bench_201" / "cifar10_200epochs.csv", space)
    assert len(table) == 7960
    assert table[0].architecture.encoding == (
        "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|none~2|"
    )
    assert table[0].accuracy == 70.28


def test_any_header_blank_lines_and_byte_order_mark(tmp_path: Path, toy_space: Any) -> None:
    file = tmp_path / "table.csv"
    file.write_text(
        '\ufeffcell,top-1,note\n000000,0.5,\n\n" 333333 ",0.75,"best, so far"\n', encoding="utf-8"
    )
    assert read_true_accuracies(file, toy_space) == [toy("000000", 0.5), toy("333333", 0.75)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it needs a header"),
        ("000000,0.5\n", "needs a header with two columns"),
        ("architecture\n000000\n", "needs a header with two columns"),
        (
            "architecture,accuracy\n000000,0.5\n00000x,0.5\n",
            r"table\.csv:3: column 1 is no architecture of toy",
        ),
        (
            "architecture,accuracy\n000000,high\n",
            r"table\.csv:2: the accuracy in column 2 is no finite number",
        ),
        (
            "architecture,accuracy\n000000,nan\n",
            r"table\.csv:2: the accuracy in column 2 is no finite number",
        ),
        ("architecture,accuracy\n000000\n", r"table\.csv:2 has 1 column\(s\)"),
        ("architecture,accuracy\n000000,0.5\n000000,0.6\n", "has architecture 000000 twice"),
        ("architecture,accuracy\n\xff", "cannot be read: 'utf-8' codec"),
    ],
)
def test_wrong_table(tmp_path: Path, toy_space: Any, text: str, message: str) -> None:
    file = tmp_path / "table.csv"
    file.write_text(text, encoding="latin1")
    with pytest.raises(DatasetError, match=message):
        read_true_accuracies(file, toy_space)


@pytest.mark.parametrize("row", ["alice,hunter2secret", "hunter2secret,0.5"])
def test_a_file_that_is_no_table_is_not_quoted_but_a_text_is(
    tmp_path: Path, toy_space: Any, row: str
) -> None:
    file = tmp_path / "passwords.csv"
    file.write_text(f"user,password\n{row}\n")
    with pytest.raises(DatasetError, match=r"passwords\.csv:2: .*column") as caught:
        read_true_accuracies(file, toy_space)
    assert "hunter2secret" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(DatasetError, match=r"text:2: .*hunter2secret"):
        parse_true_accuracies(file.read_text(), toy_space, name="text")


def test_missing_table(tmp_path: Path, toy_space: Any) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.csv cannot be read"):
        read_true_accuracies(tmp_path / "nowhere.csv", toy_space)


def test_unique_population_keeps_the_first_of_each_hash(toy_space: Any) -> None:
    """A toy encoding and its reverse share a hash."""
    table = [
        toy("000001", 0.1),
        toy("100000", 0.2),
        toy("222222", 0.3),
        toy("300000", 0.4),
        toy("000003", 0.5),
    ]
    drawn = draw_candidates(table, toy_space, number=3, population="unique", seed=0)
    assert sorted(entry.accuracy for entry in drawn) == [0.1, 0.3, 0.4]
    everything = draw_candidates(table, toy_space, number=5, population="all", seed=0)
    assert sorted(entry.accuracy for entry in everything) == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_candidates_are_distinct_and_fixed_by_the_seed(toy_space: Any) -> None:
    table = [toy(f"{number:06d}".replace("4", "0"), number) for number in range(100)]
    first, second, other = (
        draw_candidates(table, toy_space, number=20, population="all", seed=seed) for seed in (1, 1, 2)
    )
    assert first == second != other
    assert len({entry.accuracy for entry in first}) == 20


def test_labels_are_of_other_networks_than_the_candidates(toy_space: Any) -> None:
    words = [f"00{first}{second}13" for first in "0123" for second in "0123"]
    table = [toy(written) for word in words for written in (word, word[::-1])]
    drawn = draw_candidates(table, toy_space, number=8, labels=4, population="all", seed=0)
    compared, labels = (
        {toy_space.canonical_hash(each.architecture) for each in part} for part in (drawn[:8], drawn[8:])
    )
    assert len(drawn) == 12
    assert not compared & labels
    assert drawn[:8] == draw_candidates(table, toy_space, number=8, population="all", seed=0)
    with pytest.raises(
        DatasetError, match=r"cannot draw 30 labels beside 8 candidates: the table has \d+ other"
    ):
        draw_candidates(table, toy_space, number=8, labels=30, population="all", seed=0)


@pytest.mark.parametrize("number", [0, 3])
def test_more_candidates_than_there_are(toy_space: Any, number: int) -> None:
    table = [toy("000001"), toy("100000"), toy("222222")]
    with pytest.raises(DatasetError, match=f"cannot draw {number} candidates: the table has 2 .*'unique'"):
        draw_candidates(table, toy_space, number=number, population="unique", seed=0)
