"""Ranks by what a search works for, which need not be the accuracy.

Revision 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JOBS = sa.table("jobs", sa.column("id"), sa.column("kind"), sa.column("request", sa.JSON()))
CANDIDATES = sa.table(
    "candidates",
    *(sa.column(name) for name in ("search_id", "reward", "accuracy", "loss", "params", "flops", "seconds")),
    sa.column("extra_metrics", sa.JSON()),
)
LESS_IS_BETTER = ("loss", "params", "flops", "seconds", "latency_ms")


def upgrade() -> None:
    # Not in a batch: that copies the table, and with it the indexes that it understands.
    op.add_column("candidates", sa.Column("reward", sa.Double(), nullable=True))
    columns = CANDIDATES.columns
    scored = sa.update(CANDIDATES).where(columns.accuracy.is_not(None))
    op.execute(scored.values(reward=columns.accuracy))
    searches = sa.select(JOBS.columns.id, JOBS.columns.request).where(JOBS.columns.kind == "search")
    for search_id, request in op.get_bind().execute(searches).all():
        objective = (request.get("objectives") or ["accuracy"])[0]
        if objective == "accuracy":
            continue
        own = columns.extra_metrics[objective].as_float()
        value = columns[objective] if objective in columns else sa.func.coalesce(own, columns.accuracy)
        reward = -value if objective in LESS_IS_BETTER else value
        op.execute(scored.where(columns.search_id == search_id).values(reward=reward))
    given = sa.text("reward IS NOT NULL")
    op.create_index(
        "ix_candidates_search_reward",
        "candidates",
        ["search_id", sa.text("reward DESC"), "number", "accuracy", "params", "flops"],
        sqlite_where=given,
        postgresql_where=given,
    )


def downgrade() -> None:
    op.drop_index("ix_candidates_search_reward", "candidates")
    op.drop_column("candidates", "reward")
