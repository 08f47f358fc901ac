"""Classes of sizes: alike in Python and in SQL, and in the order of the sizes."""

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from services.store import Store
from services.store.size_classes import class_column, size_class, smallest_of
from services.store.tables import MAX_INTEGER

SIZES = sorted(
    {0, 1, 4, 5, 9, MAX_INTEGER}
    | {max(0, start * 10**digits + step) for digits in range(18) for start in (1, 5) for step in (-1, 0, 1)}
)


@pytest.mark.parametrize(
    ("size", "same", "next_larger"),
    [(10, 14, 15), (95, 99, 100), (100, 149, 150), (350_000, 399_999, 400_000)],
)
def test_a_class_holds_sizes_of_about_one_size(size: int, same: int, next_larger: int) -> None:
    assert size_class(size) == size_class(same) < size_class(next_larger)


@given(st.integers(0, MAX_INTEGER), st.integers(0, MAX_INTEGER))
def test_classes_are_in_the_order_of_their_sizes(one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert size_class(small) <= size_class(large)


@given(st.integers(1, MAX_INTEGER))
def test_no_size_of_a_class_is_below_its_smallest(size: int) -> None:
    smallest = smallest_of(size_class(size))
    assert smallest <= size
    assert size_class(smallest) == size_class(size)
    assert smallest == 0 or size_class(smallest - 1) < size_class(size)


def test_databases_class_as_python_does(store: Store) -> None:
    sizes = (
        sa.values(sa.column("params", sa.BigInteger), name="sizes").data([(size,) for size in SIZES]).cte()
    )
    with store._database.read() as session:
        rows = session.execute(sa.select(sizes.columns.params, class_column("params")).select_from(sizes))
        classes = {row[0]: row[1] for row in rows}
    assert classes == {size: size_class(size) for size in SIZES}
