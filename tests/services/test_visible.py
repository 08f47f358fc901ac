"""Text that others chose."""

import pytest

from services.visible import hanging, one_line, visible, without_hidden


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07\r", r"\x1b]0;title\x07\r"),
        ("\x9b2J\x00\udce9", r"\x9b2J\x00\udce9"),
        ("\u202etxt.exe\u2028\ufeff", r"\u202etxt.exe\u2028\ufeff"),
    ],
)
def test_what_a_terminal_obeys_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("text", ["Süche 1\u202f000 × 東\u3000京", "می\u200cخواهم", "👩\u200d🔬", "a\n\tb"])
def test_letters_of_all_languages_and_lines_stay(text: str) -> None:
    assert visible(text) == text


def test_further_lines_are_joined_or_indented() -> None:
    assert one_line("bad\n  id\x1b") == r"bad id\x1b"
    assert hanging("bad\nstate  ok", 4) == "bad\n    state  ok"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a\u200bb\u202e\u2028 \x9b", "ab"),
        ("👩\u200d🔬 میخواهم", "👩\u200d🔬 میخواهم"),
        ("\u200b \u200d", ""),
    ],
)
def test_names_keep_what_is_shown(name: str, kept: str) -> None:
    assert without_hidden(name) == kept
