"""What tidying up needs: answers to idempotent requests by their age, and a name for the database.

Revision 0008, after 0007.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_idempotent_requests_created_at", "idempotent_requests", ["created_at"])
    identity = op.create_table(
        "identity",
        sa.Column("id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity"),
    )
    op.bulk_insert(identity, [{"id": secrets.token_hex(16)}])


def downgrade() -> None:
    op.drop_table("identity")
    op.drop_index("ix_idempotent_requests_created_at", "idempotent_requests")
