"""The first schema: jobs, candidates, checkpoints, events, API keys and idempotency keys.

Revision 0001, the first.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Json = sa.JSON().with_variant(JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)
EventId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_jobs()
    _create_candidates()
    _create_events()
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("manifest", Json, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
    )
    op.create_index("ix_checkpoints_created_at_id", "checkpoints", ["created_at", "id"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("last_used_at", Moment),
        sa.Column("revoked_at", Moment),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
    )
    op.create_table(
        "idempotent_requests",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("method_path", sa.String(), primary_key=True),
        sa.Column("body_sha256", sa.String(), nullable=False),
        sa.Column("answer", Json, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("request", Json, nullable=False),
        sa.Column("subject_id", sa.String()),
        sa.Column("progress_done", sa.BigInteger(), nullable=False),
        sa.Column("progress_total", sa.BigInteger(), nullable=False),
        sa.Column("result", Json),
        sa.Column("error", Json),
        sa.Column("lease_owner", sa.String()),
        sa.Column("lease_expires_at", Moment),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("started_at", Moment),
        sa.Column("finished_at", Moment),
    )
    op.create_index("ix_jobs_kind_created_at_id", "jobs", ["kind", "created_at", "id"])
    op.create_index("ix_jobs_kind_state_created_at_id", "jobs", ["kind", "state", "created_at", "id"])
    op.create_index("ix_jobs_subject_id_kind", "jobs", ["subject_id", "kind"])
    op.create_index("ix_jobs_lease_expires_at", "jobs", ["lease_expires_at"])


def _create_candidates() -> None:
    op.create_table(
        "candidates",
        sa.Column("search_id", sa.String(), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("space", sa.String(), nullable=False),
        sa.Column("encoding", sa.String(), nullable=False),
        sa.Column("canonical_hash", sa.String(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("completion", sa.BigInteger()),
        sa.Column("accuracy", sa.Double()),
        sa.Column("loss", sa.Double()),
        sa.Column("params", sa.BigInteger()),
        sa.Column("flops", sa.BigInteger()),
        sa.Column("seconds", sa.Double()),
        sa.Column("extra_metrics", Json),
        sa.Column("loss_curve", Json),
        sa.Column("error", Json),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("finished_at", Moment),
        sa.ForeignKeyConstraint(
            ["search_id"], ["jobs.id"], name="fk_candidates_search_id_jobs", ondelete="CASCADE"
        ),
        sa.CheckConstraint(
            "(state = 'succeeded') = (accuracy IS NOT NULL)",
            name=op.f("ck_candidates_succeeded_has_accuracy"),
        ),
    )
    best_first = sa.text("accuracy DESC")
    for name, column in [
        ("accuracy", best_first),
        *((name, name) for name in ("loss", "params", "flops", "seconds", "created_at")),
    ]:
        op.create_index(f"ix_candidates_search_{name}", "candidates", ["search_id", column, "number"])
        op.create_index(f"ix_candidates_all_{name}", "candidates", [column, "search_id", "number"])
    op.create_index("ix_candidates_all_number", "candidates", ["number", "search_id"])
    op.create_index("ix_candidates_search_state", "candidates", ["search_id", "state", "number"])


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", EventId, primary_key=True),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("data", Json, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_events_job_id_jobs", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_job_id_id", "events", ["job_id", "id"])


def downgrade() -> None:
    for table in ("idempotent_requests", "api_keys", "checkpoints", "events", "candidates", "jobs"):
        op.drop_table(table)
