"""Checkpoints by name: those made here are called what their meta-trainings are.

Revision 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

JOBS = sa.table(
    "jobs",
    *(sa.column(name) for name in ("kind", "state", "name", "finished_at")),
    sa.column("result", sa.JSON()),
)
CHECKPOINTS = sa.table("checkpoints", sa.column("id"), sa.column("name"))


def upgrade() -> None:
    op.add_column("checkpoints", sa.Column("name", sa.String(), nullable=True))
    jobs = JOBS.columns
    made = sa.select(jobs.name, jobs.result).where(
        jobs.kind == "meta_training", jobs.state == "succeeded", jobs.name != ""
    )
    for name, result in op.get_bind().execute(made.order_by(jobs.finished_at)).all():
        named = CHECKPOINTS.columns.id == (result or {}).get("checkpoint_id")
        op.execute(sa.update(CHECKPOINTS).where(named).values(name=name))


def downgrade() -> None:
    op.drop_column("checkpoints", "name")
