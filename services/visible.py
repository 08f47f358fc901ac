"""Text that others chose, so that it can neither command a terminal nor pass for text of ours."""

import unicodedata

NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
"""A pattern for names: no control characters, which not every database would keep."""

_COMMANDS = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, direction marks, halves of characters, separators
_KEPT = {"\n", "\t", "\u200c", "\u200d"}  # the joiners are of Persian and of emoji


def visible(text: str) -> str:
    """The text with escapes in the place of what a terminal obeys or hides; lines and tabs stay."""
    return text if text.isprintable() else "".join(map(_visible, text))


def one_line(text: str) -> str:
    """`visible`, on one line."""
    return visible(" ".join(text.split()))


def hanging(text: str, indent: int) -> str:
    """The text with its further lines indented, so that none of them begins like one of ours."""
    return text.replace("\n", "\n" + " " * indent)


def without_hidden(text: str) -> str:
    """The trimmed text without what is not shown: direction marks, separators, joiners of nothing."""
    kept = [each for each in text if _may_stay(each)]
    return "".join(kept).strip() if any(each not in _KEPT and not each.isspace() for each in kept) else ""


def _visible(character: str) -> str:
    return character if _may_stay(character) else character.encode("unicode_escape").decode()


def _may_stay(character: str) -> bool:
    return character in _KEPT or unicodedata.category(character) not in _COMMANDS
