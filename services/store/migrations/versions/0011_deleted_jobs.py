"""Jobs that are deleted before all that is theirs: they have no kind any more.

Revision 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("kind", existing_type=sa.String(20), nullable=True)


def downgrade() -> None:
    for table, column in (("candidates", "search_id"), ("events", "job_id"), ("jobs", "id")):
        op.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT id FROM jobs WHERE kind IS NULL)")
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("kind", existing_type=sa.String(20), nullable=False)
