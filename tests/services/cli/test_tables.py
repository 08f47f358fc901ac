"""Tables at the widths that terminals have."""

import pytest

from services.cli.candidates import COLUMNS, WHERE_MEASURED
from services.cli.tables import Column, Rows, folded, print_table

IDENTIFIER = "f5cc226d55aa552f-32"
ENCODING = "|skip_connect~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|none~0|skip_connect~1|none~2|"
WITHOUT_MEASURED = tuple(column for column in COLUMNS if column.heading not in WHERE_MEASURED)
ROWS = Rows(WITHOUT_MEASURED, [("1", IDENTIFIER, "85.71%", "18.6k", "239k", ENCODING)] * 2, title="the best")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_nothing_is_cut_and_tables_fit(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(ROWS)
    printed = capsys.readouterr().out

    assert printed.count(IDENTIFIER) == 2
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= width
    parts = [line.split()[-1] for line in printed.splitlines() if "|" in line]
    assert "".join(parts) == ENCODING * 2
    assert {part[0] for part in parts} == {"|"}
    if "─" not in printed:  # a block of lines for each row
        assert width < 80
        assert printed.startswith("the best\n\nrank")


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (80, [ENCODING]),
        (79, [ENCODING]),
        (60, ["|skip_connect~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+", "|none~0|skip_connect~1|none~2|"]),
        (
            20,
            [
                "|skip_connect~0|+",
                "|avg_pool_3x3~0",
                "|avg_pool_3x3~1|+",
                "|none~0",
                "|skip_connect~1",
                "|none~2|",
            ],
        ),
        (10, [ENCODING[start : start + 10] for start in range(0, len(ENCODING), 10)]),
    ],
)
def test_an_encoding_is_folded_between_its_operations(width: int, lines: list[str]) -> None:
    assert folded(ENCODING, width).splitlines() == lines


def test_encodings_in_json_and_sentences_are_folded_at_commas_and_spaces() -> None:
    assert folded('{"normal":[["conv_3x3",0],["identity",1]]}', 26) == (
        '{"normal":[["conv_3x3",0],\n["identity",1]]}'
    )
    assert folded("out of memory\non the GPU", 8) == "out of\nmemory\non the\nGPU"


def test_what_would_fold_to_very_many_lines_is_shown_row_by_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    operations = [f'["conv_3x3",{number}]' for number in range(24)]
    print_table(Rows(WITHOUT_MEASURED, [("1", IDENTIFIER, "85.71%", "18.6k", "239k", ",".join(operations))]))
    printed = capsys.readouterr().out
    assert "─" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_text_of_users_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Rows([Column("name", folds_to=12)], [["[red]my [1/2]"]]))
    assert "[red]my [1/2]" in capsys.readouterr().out


@pytest.mark.parametrize("width", ["20", "80"])
def test_text_of_users_commands_no_terminal_and_begins_no_line(
    width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    print_table(Rows([Column("name"), Column("architecture")], [["\x1b[2Jmine\nname", "|none~0|"]]))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert r"\x1b[2Jmine" in printed
    assert ("─" in printed) == (width == "80")
    assert [line for line in printed.splitlines() if line.startswith("name")][1:] == []
