"""Indexes made for the queries of lists: those of metrics hold only candidates that have metrics.

Revision 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

METRICS = ("accuracy", "loss", "params", "flops", "seconds")
FILTERS = {"accuracy": ("params", "flops"), "params": ("accuracy",), "flops": ("accuracy",)}
BEST = sa.text("accuracy DESC")


def upgrade() -> None:
    for name in METRICS:
        _drop(name)
        column = BEST if name == "accuracy" else name
        filters = FILTERS.get(name, ())
        given = f"{name} IS NOT NULL"
        _create(f"search_{name}", ["search_id", column, "number", *filters], given)
        _create(f"all_{name}", [column, "search_id", "number", *filters], given)
    _create("unscored", ["search_id", "number"], "accuracy IS NULL")
    _create("unscored_state", ["state", "search_id", "number"], "accuracy IS NULL")
    op.create_index("ix_candidates_space_accuracy", "candidates", ["space", BEST, "search_id", "number"])
    op.create_index("ix_candidates_search_completion", "candidates", ["search_id", "completion"])


def downgrade() -> None:
    for name in ("search_completion", "space_accuracy", "unscored_state", "unscored"):
        op.drop_index(f"ix_candidates_{name}", table_name="candidates")
    for name in METRICS:
        _drop(name)
        column = BEST if name == "accuracy" else name
        op.create_index(f"ix_candidates_search_{name}", "candidates", ["search_id", column, "number"])
        op.create_index(f"ix_candidates_all_{name}", "candidates", [column, "search_id", "number"])


def _drop(metric: str) -> None:
    for scope in ("search", "all"):
        op.drop_index(f"ix_candidates_{scope}_{metric}", table_name="candidates")


def _create(name: str, columns: list[str | sa.TextClause], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(
        f"ix_candidates_{name}", "candidates", columns, sqlite_where=where, postgresql_where=where
    )
