"""Many rows of numbers at once, as they come from the driver."""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

ROWS_AT_A_TIME = 1000
"""Drivers hand out many rows faster than each alone; a list of all of them is slow to fill and to let go."""


def numeric_rows(
    session: Session,
    statement: sa.Select[Any] | sa.CompoundSelect[Any],
    parameters: Mapping[str, Any] | None = None,
) -> NDArray[np.float64]:
    """What the statement finds, float64 [rows, columns]; NaN where a row has no value.

    Only for columns that the driver gives as numbers, whole ones up to 2^53 if they are to be exact:
    SQLAlchemy, which would convert others, is passed by, since its rows cost more than reading them does.
    """
    if session.get_bind().dialect.name == "postgresql":
        return _packed_by_the_server(session, statement, parameters)
    result = cast("sa.CursorResult[Any]", session.execute(statement, parameters))
    batches = iter(partial(result.cursor.fetchmany, ROWS_AT_A_TIME), [])
    return np.concatenate(
        [np.empty((0, len(result.keys()))), *(np.array(batch, np.float64) for batch in batches)]
    )


def _packed_by_the_server(
    session: Session,
    statement: sa.Select[Any] | sa.CompoundSelect[Any],
    parameters: Mapping[str, Any] | None,
) -> NDArray[np.float64]:
    """The same with each column in one value: to send the rows one by one costs more than to find them."""
    columns = [sa.func.coalesce(sa.cast(each, sa.Double), _NAN) for each in statement.subquery().columns]
    packed = (sa.func.string_agg(sa.func.float8send(each), sa.literal(b"")) for each in columns)
    values = session.execute(sa.select(*packed), parameters).one()
    # Of no rows at all there is no value either.
    return np.stack([np.frombuffer(each or b"", ">f8").astype(np.float64) for each in values], axis=1)


_NAN = sa.literal_column("'NaN'::float8", sa.Double)
