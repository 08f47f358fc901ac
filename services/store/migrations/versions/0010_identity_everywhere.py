"""The database's name, for those that came by 0008 while it only made the index.

Without it nothing is tidied up: neither artifacts nor the states of ended trainings.

Revision 0010, after 0009.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("identity"):
        return
    identity = op.create_table(
        "identity",
        sa.Column("id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity"),
    )
    op.bulk_insert(identity, [{"id": secrets.token_hex(16)}])


def downgrade() -> None:
    """Nothing: 0008 as it is now has the table."""
