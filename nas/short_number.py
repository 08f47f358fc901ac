"""Large numbers in drawings and tables."""


def short(number: int) -> str:
    """Three digits and a letter: 14464 as 14.5k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:  # what would be rounded to it
            return f"{number / size:.3g}{letter}"
    return str(number)
