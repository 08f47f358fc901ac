"""Classes of networks of about one size: how an index can know the best of the small ones.

Larger networks tend to be better, so that along an index of accuracies the best of the small ones come after
all that are better and too large, and along an index of sizes the smallest of the good ones after all that
are smaller and worse. An index by class, and within each class by accuracy, has both near its start.

A class holds the numbers with as many decimal digits whose first two are the same, rounded down to fives: 10
to 14, 15 to 19, …, 95 to 99, then 100 to 149. That is told alike by Python and in the SQL of both engines.
"""

import sqlalchemy as sa

SIZES = ("params", "flops")


def size_class(size: int) -> int:
    """The class of a size of 0 or more; it grows with the size."""
    digits = str(size)
    return _PER_DIGIT * len(digits) + int(f"{digits}0"[:2]) // _STEP


def smallest_of(its_class: int) -> int:
    """No size of the class is smaller."""
    digits, steps = divmod(its_class, _PER_DIGIT)
    return -(-steps * _STEP * int(10**digits) // 100)


def class_sql(size: str) -> str:
    """`size_class` of a column; indexes are made with it, and found by queries that have it word for word."""
    digits = f"CAST({size} AS TEXT)"
    return f"({_PER_DIGIT} * length({digits}) + CAST(substr({digits} || '0', 1, 2) AS INTEGER) / {_STEP})"


def class_column(size: str) -> sa.ColumnElement[int]:
    """The same in a statement about candidates."""
    return sa.literal_column(class_sql(size), sa.Integer)


_STEP = 5
_PER_DIGIT = 100 // _STEP
