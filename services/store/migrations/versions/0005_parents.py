"""From which candidates a candidate was made.

Revision 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = ("parent", "other_parent")


def upgrade() -> None:
    for name in COLUMNS:
        # Not in a batch: that copies the table, and with it the indexes that it understands.
        op.add_column("candidates", sa.Column(name, sa.BigInteger(), nullable=True))
        given = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"ix_candidates_{name}",
            "candidates",
            ["search_id", name, "number"],
            sqlite_where=given,
            postgresql_where=given,
        )


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_index(f"ix_candidates_{name}", "candidates")
        op.drop_column("candidates", name)
