"""Scheduling of jobs: their priority, whose they are, and what they wait for.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("priority", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
        jobs.add_column(sa.Column("owner_key_id", sa.String(), nullable=True))
        jobs.add_column(sa.Column("waiting_for", sa.String(), nullable=True))
        jobs.create_index("ix_jobs_kind_state_owner_key_id", ["kind", "state", "owner_key_id"])


def downgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_index("ix_jobs_kind_state_owner_key_id")
        jobs.drop_column("waiting_for")
        jobs.drop_column("owner_key_id")
        jobs.drop_column("priority")
