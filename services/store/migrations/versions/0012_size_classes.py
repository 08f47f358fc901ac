"""Indexes of candidates by classes of size, and of sizes with the other size.

Revision 0012, after 0011.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

FILTERS = ("params", "flops", "space")
OTHER_SIZE = {"params": "flops", "flops": "params"}


def upgrade() -> None:
    for size, other in OTHER_SIZE.items():
        digits = f"CAST({size} AS TEXT)"
        size_class = f"(20 * length({digits}) + CAST(substr({digits} || '0', 1, 2) AS INTEGER) / 5)"
        best_first = [sa.text(size_class), sa.text("accuracy DESC"), "search_id", "number"]
        _create(f"{size}_class", [*best_first, *FILTERS], given=size)
        _replace_those_of(size, ["accuracy", other])


def downgrade() -> None:
    for size in OTHER_SIZE:
        _replace_those_of(size, ["accuracy"])
        op.drop_index(f"ix_candidates_{size}_class", "candidates")


def _replace_those_of(size: str, filters: list[str]) -> None:
    _replace(f"search_{size}", ["search_id", size, "number", *filters], given=size)
    _replace(f"all_{size}", [size, "search_id", "number", *filters], given=size)


def _replace(name: str, columns: list[Any], given: str) -> None:
    op.drop_index(f"ix_candidates_{name}", "candidates")
    _create(name, columns, given)


def _create(name: str, columns: list[Any], given: str) -> None:
    where = sa.text(f"{given} IS NOT NULL")
    op.create_index(
        f"ix_candidates_{name}", "candidates", columns, sqlite_where=where, postgresql_where=where
    )
