"""Tables at the widths that terminals have."""

import pytest

from services.cli.candidates import COLUMNS, WHERE_MEASURED
from services.cli.tables import Column, Rows, print_table

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
    if "─" in printed:  # a table, with the architecture folded
        assert max(map(len, printed.splitlines())) <= width
        lines = [line.split()[-1] for line in printed.splitlines() if "|" in line]
        assert "".join(lines) == ENCODING * 2
    else:  # a block of lines for each row
        assert width < 100
        assert printed.count(ENCODING) == 2
        assert printed.startswith("the best\n\nrank")


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
