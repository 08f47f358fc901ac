"""Rows of numbers past SQLAlchemy's own, on both engines."""

import numpy as np
import pytest
import sqlalchemy as sa

from services.errors import StoreUnavailableError
from services.store.engine import Database, create_engine
from services.store.numeric_rows import ROWS_AT_A_TIME, numeric_rows


def test_whole_numbers_fractions_and_absent_values(database_url: str):
    pairs = [(2**53, 0.1), (-1, None)]
    given = (sa.select(sa.literal(whole), sa.cast(fraction, sa.Double)) for whole, fraction in pairs)
    with Database(create_engine(database_url)).read() as session:
        rows = numeric_rows(session, sa.union_all(*given))
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows, [[2**53, 0.1], [-1, np.nan]])


@pytest.mark.parametrize("count", [0, 1, ROWS_AT_A_TIME, 2 * ROWS_AT_A_TIME + 1])
def test_any_number_of_rows_in_their_order(database_url: str, count: int):
    numbers = sa.select(sa.literal(1).label("number")).cte(recursive=True)
    further = sa.select(numbers.c.number + 1).where(numbers.c.number < sa.bindparam("count"))
    numbers = numbers.union_all(further)
    wanted = sa.select(numbers.c.number, -numbers.c.number).where(numbers.c.number <= sa.bindparam("count"))
    with Database(create_engine(database_url)).read() as session:
        rows = numeric_rows(session, wanted.order_by(numbers.c.number), {"count": count})
    assert rows.shape == (count, 2)
    np.testing.assert_array_equal(rows[:, 0], np.arange(1, count + 1))
    np.testing.assert_array_equal(rows[:, 1], -rows[:, 0])


def test_a_database_that_fails_between_rows_is_a_clear_error(sqlite_url: str):
    # SQLite computes a row when it is asked for, and this number has no positive counterpart.
    second_fails = sa.union_all(*(sa.select(sa.func.abs(sa.literal(each))) for each in (1, -(2**63))))
    with (
        pytest.raises(StoreUnavailableError, match="integer overflow; check"),
        Database(create_engine(sqlite_url)).read() as session,
    ):
        numeric_rows(session, second_fails)
